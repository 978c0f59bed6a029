// SPDX-License-Identifier: Apache-2.0
//
// What a debugger needs of a machine. The machine offers it; nothing here knows guest interfaces or devices.

import Support
import X86

/// Why a guest stands still.
public enum StopReason: Equatable, Sendable {
    /// Somebody asked: a debugger that has just come, Ctrl-C.
    case paused
    case step
    case breakpoint
    case watchpoint(Watchpoint)
    /// The guest cannot go on; the report says why. It can still be looked at.
    case dead(report: String)
}

/// A guest under a debugger. Everything happens on the thread that runs it, from inside the event loop or
/// between two instructions.
public protocol DebuggedGuest: AnyObject {
    var cpu: CPU { get }
    /// The kernel's symbols, as soon as there are any.
    var symbolTable: SymbolTable? { get }
    /// Bytes of RAM from guest-physical address 0.
    var ramBytes: UInt64 { get }

    /// Stops before the next instruction; the debugger is told when it stands.
    func interrupt()
    /// Lets a stopped guest run. When it stops again the debugger is told.
    func resume()
    /// Lets a stopped guest carry out one instruction.
    func step()
    /// Whether an interrupt may come right behind a step, so that it ends in its handler. Else interrupts wait until
    /// the guest runs again, as under QEMU: who steps through a function wants to stay in it.
    var stepsTakeInterrupts: Bool { get set }
    /// The debugger has gone, or is gone: the guest runs on.
    func release()
    /// Ends the guest.
    func kill()

    /// Physical memory, for what page tables do not map; nil outside RAM.
    func readPhysical(_ address: UInt64, count: Int) -> [UInt8]?
    func writePhysical(_ address: UInt64, _ bytes: [UInt8]) -> Bool

    /// What `--stats` would print now.
    var statisticsText: String { get }
    /// Carries out `monitor trace …`.
    func trace(_ words: [String]) -> String
}

/// Who is told that a guest has stopped.
public protocol StopObserver: AnyObject {
    /// Whether there is a debugger at all.
    var isAttached: Bool { get }
    func guestStopped(_ reason: StopReason)
}

// SPDX-License-Identifier: Apache-2.0
//
// Who holds a guest still, and what it is to do when it goes on. `Machine.loop` asks one question of it
// between two slices: is there anything to attend to?

import Debug
import X86

final class RunControl {
    /// Who wants the guest to stand still.
    struct Holders: OptionSet {
        let rawValue: UInt8
        static let debugger = Holders(rawValue: 1)
        static let monitor = Holders(rawValue: 2)
    }

    private(set) var holders: Holders = []
    /// The debugger wants one instruction, whoever holds the guest.
    var wantsStep = false
    /// Interrupts come between steps.
    var stepsTakeInterrupts = false
    /// The next instruction is carried out alone and past its breakpoint.
    var skipsPoint = false
    /// The monitor has sent a non-maskable interrupt.
    var wantsNMI = false
    /// The guest waits for an interrupt.
    var isHalted = false
    /// The engine has been run with these points last; it must forget its code when others are set.
    var knownBreakpoints: Set<UInt32> = []
    var knownWatchpoints: [Watchpoint] = []
    /// Some may still be known to the engine.
    var hasRunWithPoints = false
    /// The guest is over, and only stands there to be looked at.
    var deathReport: String?
    weak var observer: (any StopObserver)?
    /// A trace that the debugger has asked for.
    var tracing: Tracing?
    /// Told when the guest begins or ceases to stand still.
    var onHolding: ((Bool) -> Void)?

    /// Whether the guest may simply run.
    @inline(__always)
    var isIdle: Bool { holders.isEmpty && !wantsStep && !skipsPoint && !wantsNMI }

    var isDebugged: Bool { observer?.isAttached ?? false }

    func hold(_ holder: Holders) {
        let wasFree = holders.isEmpty
        holders.insert(holder)
        if wasFree { onHolding?(true) }
    }

    func release(_ holder: Holders) {
        let wasHeld = !holders.isEmpty
        holders.remove(holder)
        if wasHeld, holders.isEmpty { onHolding?(false) }
    }

    /// The guest stands still for the debugger, which is told why.
    func stop(_ reason: StopReason) {
        wantsStep = false
        hold(.debugger)
        observer?.guestStopped(reason)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the monitor needs of a machine. The machine offers it; nothing here knows what a machine is made of.

import Support
import Trace

/// A guest as others see it from outside.
public struct GuestStatus: Equatable, Sendable {
    public enum State: String, Sendable {
        case running
        /// The guest waits for an interrupt.
        case halted
        /// Held through the monitor.
        case paused
        /// Held by a debugger.
        case debugged
    }

    public var state: State
    /// Path of the kernel's file.
    public var kernel: String
    /// The release of Linux, where known.
    public var version: String?
    public var memoryBytes: UInt64
    /// Since this machine was made.
    public var uptimeSeconds: Double
    /// Of these, those in which the guest was not halted or held.
    public var busySeconds: Double
    public var instructions: UInt64
    /// Memory that the guest has lent, in bytes; nil without a balloon.
    public var balloonBytes: UInt64?

    public init(
        state: State, kernel: String, version: String?, memoryBytes: UInt64, uptimeSeconds: Double,
        busySeconds: Double, instructions: UInt64, balloonBytes: UInt64?
    ) {
        self.state = state
        self.kernel = kernel
        self.version = version
        self.memoryBytes = memoryBytes
        self.uptimeSeconds = uptimeSeconds
        self.busySeconds = busySeconds
        self.instructions = instructions
        self.balloonBytes = balloonBytes
    }
}

/// A task of the guest's kernel.
public struct MonitoredTask: Equatable, Sendable {
    public var pid: UInt32
    public var name: String
    /// Whether it is the one that runs.
    public var runs: Bool

    public init(pid: UInt32, name: String, runs: Bool) {
        self.pid = pid
        self.name = name
        self.runs = runs
    }
}

/// A guest that can be looked at and steered. Everything happens on the thread that runs it, between two
/// instructions.
public protocol MonitoredGuest: AnyObject {
    var status: GuestStatus { get }
    /// The object that `--stats=json` prints.
    var statisticsObject: JSON { get }
    /// The kernel's tasks; empty where they cannot be found.
    var tasks: [MonitoredTask] { get }
    func pause()
    func unpause()
    /// Raises a non-maskable interrupt. False when the guest has no handler for it yet.
    func sendNMI() -> Bool
    /// Asks the guest to lend so much memory. False when it has no balloon.
    func setBalloon(bytes: UInt64) -> Bool
    /// Ends the guest.
    func quit()
}

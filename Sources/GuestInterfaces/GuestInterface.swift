// SPDX-License-Identifier: Apache-2.0
//
// A guest interface decides what happens at the edges of guest code: how a trap, an interrupt or a
// software interrupt is delivered, what a privileged instruction does, what a hypercall means.
// Nothing outside an interface knows which one is active.

import Engine
import Support
import X86

/// Why a guest is over. Every misbehaviour of a guest ends as one of these.
public struct GuestDeath: Error, Equatable, Sendable {
    /// One line: what the guest did that cannot be carried out.
    public var reason: String
    /// One line: what to do about it, where that is known.
    public var suggestion: String?
    /// Whether the guest itself asked for the end with a message (a panic), so that its registers
    /// are of no interest.
    public var isGuestMessage: Bool

    /// What `lguest explain` has to say on it, by name; nil for nothing.
    public var topic: String?

    public init(
        _ reason: String, suggestion: String? = nil, isGuestMessage: Bool = false, topic: String? = nil
    ) {
        self.reason = reason
        self.suggestion = suggestion
        self.isGuestMessage = isGuestMessage
        self.topic = topic
    }
}

/// How a guest ended of its own will.
public enum GuestEnd: Equatable, Sendable {
    case powerOff
    case restart
}

/// What the machine does after an exit has been dealt with.
public enum Disposition: Equatable, Sendable {
    /// Run on.
    case run
    /// Sleep until an interrupt can be delivered.
    case halt
    case end(GuestEnd)
}

/// Counts of what crossed an interface; always on.
public struct InterfaceCounters: Equatable, Sendable {
    /// Traps and software interrupts that the guest's handlers got, by vector.
    public var traps = [UInt64](repeating: 0, count: 256)
    public var interrupts: UInt64 = 0
    /// Instructions that the interface carried out for the guest.
    public var emulatedInstructions: UInt64 = 0
    public init() {}
}

public protocol GuestInterface: AnyObject {
    /// Puts the processor into the state in which the guest's first instruction runs.
    func start(_ cpu: CPU, entryPoint: UInt32)
    /// Deals with an engine's exit. Throws when the guest cannot go on.
    func handle(_ exit: Exit, _ cpu: CPU) throws(GuestDeath) -> Disposition
    /// Marks interrupts of timers that are due, and delivers what can be delivered. Returns whether the
    /// guest runs (false: it is halted).
    func deliverInterrupts(_ cpu: CPU, now: UInt64) throws(GuestDeath) -> Bool
    /// Whether an interrupt waits for the guest to allow it, so that it should be looked at soon.
    var hasWaitingInterrupts: Bool { get }
    /// When the next timer is due, in nanoseconds of the monotonic host clock.
    var nextTimer: UInt64? { get }
    /// Whether the guest has a handler for non-maskable interrupts.
    func canTakeNMI(_ cpu: CPU) -> Bool
    /// Raises one now, between two instructions; ends HALT.
    func raiseNMI(_ cpu: CPU) throws(GuestDeath)
    var counters: InterfaceCounters { get }
    /// What else this interface counts, for `--stats`, in the order to be shown.
    var details: [CounterReading] { get }
}

// For interfaces to kernels that know no non-maskable interrupts.
extension GuestInterface {
    public func canTakeNMI(_ cpu: CPU) -> Bool { false }
    public func raiseNMI(_ cpu: CPU) throws(GuestDeath) {}
}

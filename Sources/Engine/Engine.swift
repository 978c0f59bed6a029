// SPDX-License-Identifier: Apache-2.0
//
// What every engine offers. An engine runs guest code until something needs attention; it knows
// nothing of guest interfaces, devices or time.

import Support
import X86

/// Why an engine stopped.
public enum Exit: Equatable, Sendable {
    /// The instruction budget is used up, or attention is wanted; EIP is at the next instruction.
    case budget
    /// An instruction raised an exception; EIP is at that instruction, nothing of it has happened.
    case exception(Fault)
    /// INT n, INT3 or INTO; EIP is at the instruction, which is `length` bytes long. No privilege check yet.
    case softwareInterrupt(vector: UInt8, length: UInt8)
    /// VMCALL; EIP is at the instruction (3 bytes).
    case vmcall
    /// HLT at privilege 0; EIP is behind it.
    case halt
    /// #DB as a trap (single step or INT1); EIP is behind the instruction. DR6 is set.
    case debugTrap
    /// The engine's `edge` has dealt with an exit and wants the run loop.
    case edge

    /// Which of the cases above, without its values.
    public enum Reason: Int, CaseIterable, Sendable {
        case budget, exception, softwareInterrupt, vmcall, halt, debugTrap, edge

        /// As `--stats` shows it.
        public var name: String {
            switch self {
            case .budget: "budget"
            case .exception: "exception"
            case .softwareInterrupt: "software interrupt"
            case .vmcall: "vmcall"
            case .halt: "halt"
            case .debugTrap: "debug trap"
            case .edge: "edge"
            }
        }
    }

    @inline(__always)
    public var reason: Reason {
        switch self {
        case .budget: .budget
        case .exception: .exception
        case .softwareInterrupt: .softwareInterrupt
        case .vmcall: .vmcall
        case .halt: .halt
        case .debugTrap: .debugTrap
        case .edge: .edge
        }
    }
}

/// How often each reason came up.
public struct ExitCounts: Sendable {
    private var counts = InlineArray<8, UInt64>(repeating: 0)

    public init() {}

    @inline(__always)
    public mutating func note(_ exit: Exit) { counts[exit.reason.rawValue] &+= 1 }

    /// Those that did.
    public func readings(_ counter: Counter) -> [CounterReading] {
        Exit.Reason.allCases.filter { counts[$0.rawValue] > 0 }.map {
            CounterReading(counter, label: $0.name, counts[$0.rawValue])
        }
    }
}

/// Deals with exits on the spot, so that an engine need not leave guest code for them.
public protocol EdgeHandler: AnyObject {
    /// Deals with `exit`, which is none of `.budget` and `.edge`; the CPU is as `Engine.run` would leave it. Returns
    /// true if guest code goes on at the CPU's EIP; with false the engine returns `.edge`, and the handler keeps
    /// what the run loop is to know.
    func attend(_ exit: Exit, _ cpu: CPU) -> Bool
}

/// Runs guest code on a `CPU`.
///
/// Preconditions of `run`: the CPU's storage is alive, and no other thread uses the CPU or its memory.
/// Postconditions: the CPU's state is exactly that between two instructions, whatever the exit; flags
/// and EIP are in the CPU, `cpu.instructions` counts what has retired.
public protocol Engine: AnyObject {
    /// Runs at least one instruction or event and at most about `budget` instructions (up to one
    /// block more).
    func run(_ cpu: CPU, budget: UInt64) -> Exit
    /// Forgets all decoded or translated code.
    func flushCode()
    /// Whom to ask before leaving guest code, or nil. An engine is free to leave all the same.
    var edge: (any EdgeHandler)? { get set }
    var counters: EngineCounters { get }
    /// What else this engine counts, for `--stats`, in the order to be shown.
    var details: [CounterReading] { get }
}

extension Engine {
    public var details: [CounterReading] { [] }
}

/// What an engine counts; always on.
public struct EngineCounters: Equatable, Sendable {
    public var blocksBuilt: UInt64 = 0
    public var instructionsDecoded: UInt64 = 0
    public var blocksInvalidated: UInt64 = 0
    public var flushes: UInt64 = 0
    public var singleSteps: UInt64 = 0
    public init() {}
}

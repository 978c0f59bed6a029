// SPDX-License-Identifier: Apache-2.0
//
// The list of everything that lguest counts, always, and shows with `--stats`. Whoever counts something new adds it
// here, with a name and a sentence; the place where it is counted only knows the case.

/// One thing that is counted, or, where `isLabelled`, one kind of things that are counted by name.
public enum Counter: String, CaseIterable, Sendable {
    // The run as a whole
    case instructions, elapsed, busy
    // Host CPU time
    case cpuTime, cpuCode, cpuEngine, cpuInterface, cpuDevices, cpuThreads
    // The engine
    case blocksBuilt, instructionsDecoded, blocksInvalidated, codeFlushes, singleSteps, codeBytes,
        codeCapacity
    case leftCode, exits, handledInCode, byTheCore
    case blocksCompared, blocksNotCompared
    // Memory
    case pageWalks, slowAccesses
    case windowsOpened, windowsDropped, windowPagesMapped, windowPagesUnmapped
    case directPagesMapped, directPagesUnmapped, windowFaults
    // What the guest asked for, and got
    case interrupts, emulatedInstructions, hypercalls, queuedHypercalls, traps

    public enum Unit: Sendable {
        case count, bytes
        /// Shown in seconds.
        case nanoseconds
    }

    /// As people and programs read it; in JSON with underscores.
    public var name: String { facts.name }
    public var unit: Unit { facts.unit }
    /// Whether values are told apart by labels, such as the name of a hypercall.
    public var isLabelled: Bool { facts.labelled }
    /// What is counted.
    public var meaning: String { facts.meaning }

    private struct Facts {
        var name: String
        var meaning: String
        var unit: Unit
        var labelled: Bool

        init(_ name: String, _ meaning: String, unit: Unit = .count, labelled: Bool = false) {
            self.name = name
            self.unit = unit
            self.labelled = labelled
            self.meaning = meaning
        }
    }

    private var facts: Facts {
        switch self {
        case .instructions: Facts("guest instructions", "guest instructions that have been completed")
        case .elapsed: Facts("elapsed", "time since the machine was built", unit: .nanoseconds)
        case .busy: Facts("busy", "of it, time in which the guest was not halted", unit: .nanoseconds)
        case .cpuTime: Facts("host CPU", "CPU time of the thread that runs the guest", unit: .nanoseconds)
        case .cpuCode:
            Facts("host CPU in generated code", "of it, in translated guest code", unit: .nanoseconds)
        case .cpuEngine:
            Facts(
                "host CPU in the engine",
                "of it, in the interpreter, or in the translator and the processor core behind generated code",
                unit: .nanoseconds)
        case .cpuInterface:
            Facts(
                "host CPU in the interface", "of it, in traps, interrupts and hypercalls", unit: .nanoseconds)
        case .cpuDevices:
            Facts(
                "host CPU in devices", "of it, in devices and in looking for what the host has",
                unit: .nanoseconds)
        case .cpuThreads:
            Facts("host CPU of other threads", "CPU time of all other threads of lguest", unit: .nanoseconds)
        case .blocksBuilt: Facts("blocks built", "blocks of guest code that were decoded or translated")
        case .instructionsDecoded: Facts("instructions decoded", "guest instructions in these blocks")
        case .blocksInvalidated:
            Facts("blocks invalidated", "blocks dropped because their bytes were written")
        case .codeFlushes: Facts("code cache flushes", "times that all blocks were dropped for want of room")
        case .singleSteps: Facts("single steps", "instructions carried out outside of any block")
        case .codeBytes: Facts("code cache used", "generated code in the cache now", unit: .bytes)
        case .codeCapacity: Facts("code cache size", "generated code that the cache can take", unit: .bytes)
        case .leftCode:
            Facts("left code", "returns from generated code to the run loop, by reason", labelled: true)
        case .exits: Facts("exits", "exits of the engine to the machine, by reason", labelled: true)
        case .handledInCode:
            Facts(
                "handled in code", "exits dealt with without leaving generated code, by reason",
                labelled: true)
        case .byTheCore:
            Facts("by the core", "instructions left to the processor core, by operation", labelled: true)
        case .blocksCompared: Facts("blocks compared", "blocks run on both engines (lockstep)")
        case .blocksNotCompared:
            Facts("blocks not compared", "blocks run once, since they cannot be taken back")
        case .pageWalks:
            Facts("page-table walks", "misses of the flat tables: walks of the guest's page tables")
        case .slowAccesses:
            Facts(
                "slow memory accesses", "accesses of generated code that went by the slow path, walk or not")
        case .windowsOpened: Facts("windows opened", "address spaces mapped for user code")
        case .windowsDropped: Facts("windows dropped", "windows given up")
        case .windowPagesMapped: Facts("window pages mapped", "pages put into windows")
        case .windowPagesUnmapped: Facts("window pages unmapped", "pages taken out of windows that stay")
        case .directPagesMapped:
            Facts("direct pages mapped", "pages put into the window of the kernel's linear map")
        case .directPagesUnmapped: Facts("direct pages unmapped", "pages taken out of it")
        case .windowFaults: Facts("window faults", "signals for accesses to what a window does not have")
        case .interrupts: Facts("interrupts", "interrupts delivered to the guest")
        case .emulatedInstructions:
            Facts("emulated instructions", "privileged instructions carried out for the guest")
        case .hypercalls: Facts("hypercalls", "hypercalls by name, queued ones included", labelled: true)
        case .queuedHypercalls: Facts("queued hypercalls", "of them, those that came through the ring")
        case .traps:
            Facts("traps", "traps and software interrupts that the guest's handlers got", labelled: true)
        }
    }
}

/// A value of a counter.
public struct CounterReading: Equatable, Sendable {
    public var counter: Counter
    /// Of what kind, for a labelled counter.
    public var label: String?
    public var value: UInt64

    public init(_ counter: Counter, label: String? = nil, _ value: UInt64) {
        self.counter = counter
        self.label = label
        self.value = value
    }
}

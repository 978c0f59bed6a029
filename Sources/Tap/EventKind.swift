// SPDX-License-Identifier: Apache-2.0
//
// What an event's numbers mean. Whoever causes events describes them once, by a table of kinds, so that
// nothing that shows or stores events knows any guest interface or device.

/// How an argument is to be shown.
public enum ArgumentFormat: String, Sendable, CaseIterable {
    case decimal
    case hex
    /// A guest-virtual address, named by symbol where there is one.
    case address
    /// A guest-physical address.
    case physical
    /// A page-table entry; the following argument is its upper half.
    case entry
    /// The upper half of the argument before; not shown by itself.
    case upper
    /// Not shown; of use to programs only.
    case hidden
    case nanoseconds
    /// Error code of a page fault.
    case faultCode
    case vector
    /// Index into the names that the tap was given (`TraceTap.name`).
    case name
    /// A system call of Linux on i386.
    case systemCall
    case boolean
}

/// The name and form of one of an event's four arguments.
public struct EventArgument: Sendable, Equatable {
    public var name: String
    public var format: ArgumentFormat

    public init(_ name: String, _ format: ArgumentFormat) {
        self.name = name
        self.format = format
    }
}

/// A kind of events.
public struct EventKind: Sendable, Equatable {
    /// As people know it: `SET_PTE`, `page fault`.
    public var name: String
    /// An event is recorded when one of these is wanted.
    public var categories: TraceCategory
    /// At most four.
    public var arguments: [EventArgument]
    /// What `lguest explain` knows it by.
    public var topic: String

    public init(
        _ name: String, _ categories: TraceCategory, _ arguments: [EventArgument] = [], topic: String? = nil
    ) {
        self.name = name
        self.categories = categories
        self.arguments = arguments
        self.topic = topic ?? name
    }
}

/// The kinds that are the same for every guest: their number is their index in `TraceTap.kinds`.
public enum CommonKind: Int, CaseIterable, Sendable {
    case portRead, portWrite, mmioRead, mmioWrite
    case queueKick, bufferTaken, bufferReturned, interruptRaised
    case controlRead, controlWrite, msrRead, msrWrite
    case enterUser, halted, hostPoll
    case trap, pageFault, systemCall, interrupt
    case addressSpace, invalidation

    public var description: EventKind {
        typealias A = EventArgument
        let width = A("width", .decimal)
        let queue = [A("queue", .name)]
        let register = [A("register", .name), width, A("value", .hex), A("at", .physical)]
        let buffer = [A("head", .decimal), A("bytes", .decimal), A("buffer", .physical)]
        return switch self {
        case .portRead: EventKind("IN", .io, [A("port", .hex), width, A("value", .hex)], topic: "port")
        case .portWrite: EventKind("OUT", .io, [A("port", .hex), width, A("value", .hex)], topic: "port")
        case .mmioRead:
            EventKind("READ", .mmio, register, topic: "mmio")
        case .mmioWrite:
            EventKind("WRITE", .mmio, register, topic: "mmio")
        case .queueKick: EventKind("KICK", .virtio, queue, topic: "queue_notify")
        case .bufferTaken:
            EventKind("TAKE", .virtio, queue + buffer, topic: "avail_ring")
        case .bufferReturned:
            EventKind("GIVE", .virtio, queue + buffer, topic: "used_ring")
        case .interruptRaised: EventKind("RAISE", [.virtio, .irq], queue, topic: "isr_status")
        case .controlRead: EventKind("READ_CR", .cr, [A("cr", .decimal), A("value", .hex)], topic: "cr")
        case .controlWrite: EventKind("WRITE_CR", .cr, [A("cr", .decimal), A("value", .hex)], topic: "cr")
        case .msrRead:
            EventKind("RDMSR", .msr, [A("msr", .hex), A("low", .hex), A("high", .hex)], topic: "msr")
        case .msrWrite:
            EventKind("WRMSR", .msr, [A("msr", .hex), A("low", .hex), A("high", .hex)], topic: "msr")
        case .enterUser: EventKind("TO_USER", .user, [A("eip", .address)], topic: "iret")
        case .halted: EventKind("IDLE", .idle, [], topic: "idle")
        case .hostPoll: EventKind("POLL", .idle, [], topic: "idle")
        case .addressSpace:
            EventKind("LOAD_CR3", [.cr, .schedule, .pagetable], [A("pgdir", .physical)], topic: "cr")
        case .invalidation: EventKind("INVLPG", .pagetable, [A("va", .address)], topic: "cr")
        case .trap:
            EventKind("TRAP", .trap, [A("vector", .vector), A("error", .hex), A("handler", .address)])
        case .pageFault:
            EventKind(
                "PAGE_FAULT", .trap,
                [A("va", .address), A("access", .faultCode), A("handler", .address), A("vector", .hidden)],
                topic: "page-fault")
        case .systemCall:
            EventKind(
                "SYSCALL", .syscall,
                [A("call", .systemCall), A("ebx", .hex), A("ecx", .hex), A("edx", .hex)], topic: "0x80")
        case .interrupt:
            EventKind("IRQ", .irq, [A("irq", .decimal), A("vector", .vector), A("handler", .address)])
        }
    }
}

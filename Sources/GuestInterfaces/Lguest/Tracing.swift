// SPDX-License-Identifier: Apache-2.0
//
// What the lguest interface tells the tap: every hypercall by name with its arguments, and what it reflects to
// the guest. Beyond this folder nobody knows a hypercall's number.

import Tap
import X86

enum LguestTrace {
    /// The categories that hypercalls may belong to.
    static var calls: TraceCategory { .hypercall | .pagetable | .schedule }
    /// Those of what is reflected.
    static var reflections: TraceCategory { .trap | .syscall | .irq }

    /// Beginnings of the names of guest functions that only pass requests on: whoever calls them is of interest.
    static let stubs = [
        "lguest_", "lg_", "send_interrupts", "lazy_hcall", "async_hcall", "hcall", "lazy_load_tls",
        "Hypervisor.", "AsyncRing.",
        "hypercall", "iowrite", "ioread",
    ]

    /// A kind for each hypercall number from 0 on, then those of 2.6.23, which have numbers 12 and 13.
    static let kinds: [EventKind] =
        (0...19).map { number in
            LguestCall(rawValue: number)?.eventKind
                ?? EventKind("CALL_\(number)", .hypercall, topic: "hypercall")
        } + [bindDMA, sendDMA]

    private static let bindDMA = EventKind(
        "BIND_DMA", .hypercall,
        [
            EventArgument("key", .physical), EventArgument("array", .physical),
            EventArgument("count_irq", .hex),
        ], topic: "LHCALL_BIND_DMA")
    private static let sendDMA = EventKind(
        "SEND_DMA", .hypercall, [EventArgument("key", .physical), EventArgument("buffers", .physical)],
        topic: "LHCALL_SEND_DMA")
    /// Where they are in `kinds`.
    static let firstDMAKind = 20
}

extension LguestCall {
    /// The call as an event. Its name in a trace is that of the headers without the prefix.
    var eventKind: EventKind {
        let short = String(name.dropFirst("LHCALL_".count))
        return EventKind(short, LguestTrace.calls.intersection(categories), arguments, topic: name)
    }

    private var categories: TraceCategory {
        switch self {
        case .flushTLB, .setPMD, .setPTE, .setPGD: [.hypercall, .pagetable]
        case .newPageTable: [.hypercall, .pagetable, .schedule]
        case .setStack: [.hypercall, .schedule]
        default: .hypercall
        }
    }

    private var arguments: [EventArgument] {
        typealias A = EventArgument
        return switch self {
        case .flushAsync, .sendInterrupts, .halt: []
        case .lguestInit: [A("lguest_data", .physical)]
        case .shutdown: [A("text", .physical), A("reason", .decimal)]
        case .loadGDT: [A("table", .physical), A("entries", .decimal)]
        case .newPageTable: [A("pgdir", .physical)]
        case .flushTLB: [A("everything", .boolean)]
        case .loadIDTEntry: [A("vector", .vector), A("low", .hex), A("high", .hex)]
        case .setStack: [A("ss", .hex), A("esp", .address), A("pages", .decimal)]
        case .ts: [A("set", .boolean)]
        case .setClockEvent: [A("in", .nanoseconds)]
        case .setPMD: [A("pmd", .physical), A("index", .decimal)]
        case .setPTE: [A("pgdir", .physical), A("va", .address), A("pte", .entry), A("pte_high", .upper)]
        case .setPGD: [A("pgdir", .physical), A("index", .decimal)]
        case .loadTLS: [A("table", .physical), A("cpu", .decimal)]
        case .notify: [A("address", .physical)]
        case .loadGDTEntry: [A("index", .decimal), A("low", .hex), A("high", .hex)]
        }
    }
}

// None of this is reached while nobody looks: callers test `cpu.traces` first.
extension LguestInterface {
    /// Carries out a call as an event.
    @inline(never)
    func performTraced(
        _ kind: LguestCall, _ call: HypercallFrame, _ cpu: CPU, queued: Bool
    ) throws(GuestDeath) {
        let mark = beginTrace(call, queued: queued)
        defer { tap.end(mark) }
        try perform(kind, call, cpu)
    }

    func beginTrace(_ call: HypercallFrame, queued: Bool) -> TraceTap.Mark {
        // Kernels without PAE leave something in ESI that means nothing.
        let fourth = abi.isPAE ? call.a4 : 0
        return tap.begin(firstKind + Int(call.number), call.a1, call.a2, call.a3, fourth, queued: queued)
    }

    /// Enters the guest's handler as an event: a trap, a system call or an interrupt.
    @inline(never)
    func enterTraced(
        _ vector: UInt8, _ errorCode: UInt32?, _ gate: Descriptor, _ cpu: CPU
    ) throws(GuestDeath) {
        let mark = beginTrace(vector, errorCode, gate, cpu)
        defer { tap.end(mark) }
        try enterHandler(gate, errorCode, cpu)
    }

    private func beginTrace(
        _ vector: UInt8, _ errorCode: UInt32?, _ gate: Descriptor, _ cpu: CPU
    ) -> TraceTap.Mark {
        let handler = gate.gateOffset
        let number = UInt32(vector)
        if vector == 0x80 {
            return tap.begin(
                .systemCall, cpu[r32: GPR.eax], cpu[r32: GPR.ebx], cpu[r32: GPR.ecx], cpu[r32: GPR.edx])
        }
        if vector == Vector.pageFault {
            return tap.begin(.pageFault, cpu.system.cr2, errorCode ?? 0, handler, number)
        }
        if vector >= LguestInterface.irqBase {
            return tap.begin(.interrupt, number - UInt32(LguestInterface.irqBase), number, handler)
        }
        return tap.begin(.trap, number, errorCode ?? 0, handler)
    }

    /// A privileged instruction that was carried out here. Ports are traced by their bus.
    func traceEmulated(_ i: Instruction, _ cpu: CPU) {
        guard cpu.traces(.cr | .msr) else { return }
        switch i.operation {
        case .rdmsr:
            tap.note(.msrRead, cpu[r32: GPR.ecx], cpu[r32: GPR.eax], cpu[r32: GPR.edx])
        case .wrmsr:
            tap.note(.msrWrite, cpu[r32: GPR.ecx], cpu[r32: GPR.eax], cpu[r32: GPR.edx])
        case .movFromControl:
            tap.note(.controlRead, UInt32(i.source.index), cpu[r32: Int(i.destination.index)])
        case .movToControl:
            tap.note(.controlWrite, UInt32(i.destination.index), cpu[r32: Int(i.source.index)])
        default: break
        }
    }
}

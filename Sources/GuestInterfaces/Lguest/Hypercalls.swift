// SPDX-License-Identifier: Apache-2.0
//
// Hypercalls: `int $0x1f` (or VMCALL) in ring 1 with the number in EAX. Before the call itself is
// carried out, the calls that the guest has queued in the shared page are (docs: lguest ABI chapter 2).

import GuestMemory
import X86

/// Hypercall numbers. 13 and 15 changed their meaning once, 3 and 18 replaced each other.
public enum LguestCall: UInt32, CaseIterable, Sendable {
    case flushAsync = 0, lguestInit, shutdown, loadGDT, newPageTable, flushTLB, loadIDTEntry, setStack
    case ts, setClockEvent, halt
    case setPMD = 13, setPTE, setPGD, loadTLS, notify, loadGDTEntry, sendInterrupts

    /// As the kernel's headers name it.
    public var name: String {
        switch self {
        case .flushAsync: "LHCALL_FLUSH_ASYNC"
        case .lguestInit: "LHCALL_LGUEST_INIT"
        case .shutdown: "LHCALL_SHUTDOWN"
        case .loadGDT: "LHCALL_LOAD_GDT"
        case .newPageTable: "LHCALL_NEW_PGTABLE"
        case .flushTLB: "LHCALL_FLUSH_TLB"
        case .loadIDTEntry: "LHCALL_LOAD_IDT_ENTRY"
        case .setStack: "LHCALL_SET_STACK"
        case .ts: "LHCALL_TS"
        case .setClockEvent: "LHCALL_SET_CLOCKEVENT"
        case .halt: "LHCALL_HALT"
        case .setPMD: "LHCALL_SET_PMD"
        case .setPTE: "LHCALL_SET_PTE"
        case .setPGD: "LHCALL_SET_PGD"
        case .loadTLS: "LHCALL_LOAD_TLS"
        case .notify: "LHCALL_NOTIFY"
        case .loadGDTEntry: "LHCALL_LOAD_GDT_ENTRY"
        case .sendInterrupts: "LHCALL_SEND_INTERRUPTS"
        }
    }
}

/// One call: its number and four arguments.
struct HypercallFrame: Equatable {
    var number: UInt32
    var a1: UInt32, a2: UInt32, a3: UInt32, a4: UInt32

    /// From register values, in the generation's argument order.
    init(eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32, esi: UInt32, startsInEDX: Bool) {
        number = eax
        (a1, a2, a3, a4) = startsInEDX ? (edx, ebx, ecx, 0) : (ebx, ecx, edx, esi)
    }
}

extension LguestInterface {
    /// Carries out the hypercall at EIP.
    func hypercall(_ cpu: CPU, length: UInt32, byVMCall: Bool) throws(GuestDeath) {
        let frame = HypercallFrame(
            eax: cpu[r32: GPR.eax], ebx: cpu[r32: GPR.ebx], ecx: cpu[r32: GPR.ecx], edx: cpu[r32: GPR.edx],
            esi: cpu[r32: GPR.esi], startsInEDX: abi.argumentsStartInEDX)
        if data == nil {
            guard frame.number == LguestCall.lguestInit.rawValue else {
                throw kill("hypercall \(frame.number) before LHCALL_LGUEST_INIT")
            }
            hypercallCounts[1] += 1
            let mark = cpu.traces(LguestTrace.calls) ? beginTrace(frame, queued: false) : .none
            defer { tap.end(mark) }
            try initialise(cpu, byVMCall: byVMCall)
        } else {
            try drainRing(cpu)
            if let dma = services.dma, let result = try dmaCall(frame, dma, cpu) {
                cpu[r32: GPR.eax] = result
            } else {
                try carryOut(frame, cpu)
            }
        }
        cpu.eip = cpu.eip &+ length
    }

    func carryOut(_ call: HypercallFrame, _ cpu: CPU, queued: Bool = false) throws(GuestDeath) {
        guard let kind = LguestCall(rawValue: call.number) else {
            throw kill(
                "bad hypercall \(call.number) at \(cpu.eip.hex)",
                suggestion:
                    "EAX holds no hypercall number of any lguest version; was `int $0x1f` executed by mistake?",
                topic: "hypercall")
        }
        hypercallCounts[Int(call.number)] += 1
        if cpu.traces(LguestTrace.calls) {
            try performTraced(kind, call, cpu, queued: queued)
        } else {
            try perform(kind, call, cpu)
        }
    }

    @inline(__always)
    func perform(_ kind: LguestCall, _ call: HypercallFrame, _ cpu: CPU) throws(GuestDeath) {
        switch kind {
        case .flushAsync, .sendInterrupts: break
        case .lguestInit: throw kill("LHCALL_LGUEST_INIT a second time: lguest_data already exists")
        case .shutdown: try shutdown(call.a1, reason: call.a2)
        case .loadGDT: try loadGDT(call.a1, call.a2, cpu)
        case .newPageTable: try newPageTable(call.a1, cpu)
        case .flushTLB: flushTLB(everything: call.a1 != 0, cpu)
        case .loadIDTEntry: try loadIDTEntry(call.a1, call.a2, call.a3)
        case .setStack: try setStack(call.a1, call.a2, pages: call.a3)
        case .ts:
            if call.a1 != 0 { cpu.system.cr0 |= ControlBits.ts } else { cpu.system.cr0 &= ~ControlBits.ts }
        case .setClockEvent: setClockEvent(call.a1)
        case .halt: isHalted = true
        case .setPMD:
            guard abi.isPAE else { throw kill("bad hypercall 13: SET_PMD without PAE") }
            try setMiddleEntry(call.a1, call.a2, cpu)
        case .setPTE: setPTE(call.a1, call.a2, cpu)
        case .setPGD: try setTopEntry(call.a1, call.a2, cpu)
        case .loadTLS: try loadTLS(call.a1, cpu)
        case .notify: try notify(call.a1)
        case .loadGDTEntry: try loadGDTEntry(call.a1, UInt64(call.a3) << 32 | UInt64(call.a2), cpu)
        }
    }

    /// LGUEST_INIT: finds the shared page, recognises its layout, fills in the host's side.
    private func initialise(_ cpu: CPU, byVMCall: Bool) throws(GuestDeath) {
        // The address is in EBX; up to 2.6.29 it is in EDX.
        let candidates = byVMCall ? [GPR.ebx] : [GPR.ebx, GPR.edx]
        var found: (register: Int, data: LguestData)?
        for register in candidates where found == nil {
            let address = UInt64(cpu[r32: register])
            let room = memory.size > address ? min(UInt64(LguestDataLayout.window), memory.size - address) : 0
            guard let bytes = try? memory.readBytes(address, count: Int(room)),
                let layout = services.dma == nil
                    ? LguestDataLayout(bytes) : LguestDataLayout(first: bytes),
                let data = LguestData(address: address, layout: layout, memory: memory)
            else { continue }
            found = (register, data)
        }
        guard let found else {
            throw kill(
                "bad guest page: no lguest_data at \(cpu[r32: GPR.ebx].hex) (EBX) nor at \(cpu[r32: GPR.edx].hex) (EDX)",
                suggestion: "lguest_data must be as Linux 2.6.23 to 4.13 have it")
        }
        let shared = found.data
        let layout = shared.layout
        abi.argumentsStartInEDX = found.register == GPR.edx
        shared.set(layout.tscKHz, services.tscKHz)
        if let vector = layout.syscallVector.map({ shared.word($0) }), vector != 0x80 {
            throw kill("bad syscall vector \(vector)")
        }
        if let address = layout.kernelAddress { abi.kernelAddress = shared.word(address) }
        if let place = layout.guestID {
            try? memory.write(services.dma?.guestID ?? 1, at: shared.address + UInt64(place))
        }
        shared.set(layout.reserveMem, LguestInterface.reservedTop)
        guard abi.kernelAddress < 0 &- LguestInterface.reservedTop else {
            throw kill("bad kernel address \(abi.kernelAddress.hex)")
        }
        data = shared
        writeTime(shared)
        cpu.flushTranslations()
        if let pgdir = layout.pgdir {
            abi.isPAE = services.kernelLooksPAE
            let top = try buildInitialTables(cpu)
            shared.set(pgdir, top)
            enablePaging(top, cpu)
        }
    }

    /// Bytes at the top of the address space that the guest keeps free (docs: lguest ABI 6.5). We need none,
    /// but the guest wants a sane value.
    static let reservedTop: UInt32 = 0x40_0000

    /// The calls that the guest has queued, in order; at most one round of the ring.
    private func drainRing(_ cpu: CPU) throws(GuestDeath) {
        guard let data else { return }
        let layout = data.layout
        // Linux 2.6.23 has EDX before the other two (docs: lguest ABI 2.4).
        let order: (ebx: UInt32, ecx: UInt32, edx: UInt32) =
            abi.ringHasEDXFirst ? (8, 12, 4) : (4, 8, 12)
        for _ in 0..<LguestDataLayout.ringLength {
            let n = ringCursor
            if data.byte(layout.hcallStatus + n) == 0xFF { return }
            ringCursor = (n + 1) % LguestDataLayout.ringLength
            let entry = layout.hcalls + n * layout.hcallSize
            let call = HypercallFrame(
                eax: data.word(entry), ebx: data.word(entry + order.ebx), ecx: data.word(entry + order.ecx),
                edx: data.word(entry + order.edx), esi: layout.hcallSize > 16 ? data.word(entry + 16) : 0,
                startsInEDX: abi.argumentsStartInEDX)
            queuedHypercalls += 1
            try carryOut(call, cpu, queued: true)
            data.setByte(layout.hcallStatus + n, 0xFF)
        }
    }

    private func setStack(_ selector: UInt32, _ pointer: UInt32, pages: UInt32) throws(GuestDeath) {
        guard selector & 3 == 1 else { throw kill("bad stack segment \(selector.hex): its RPL is not 1") }
        guard pages <= 2 else { throw kill("bad stack pages \(pages): at most 2") }
        stackPointer = pointer
        cpu?.system.systemCall.stackTop = pointer
        guard stackSelector != UInt16(truncatingIfNeeded: selector) else { return }
        stackSelector = UInt16(truncatingIfNeeded: selector)
        kernelStack = nil
        forgetSystemCalls()
    }

    private func shutdown(_ address: UInt32, reason: UInt32) throws(GuestDeath) {
        if reason == 2 {
            // `reboot -f` gives no text: the address is that of a null pointer.
            requestedEnd = .restart
            return
        }
        guard var bytes = try? memory.readBytes(UInt64(address), count: 128) else {
            throw kill(
                "bad read address \(address.hex), 128 bytes: the message of SHUTDOWN is outside guest memory")
        }
        bytes[127] = 0
        let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        if text == "Power down" {
            requestedEnd = .powerOff
        } else {
            throw GuestDeath("CRASH: \(text)", isGuestMessage: true)
        }
    }
}

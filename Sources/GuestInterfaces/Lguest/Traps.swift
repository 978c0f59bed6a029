// SPDX-License-Identifier: Apache-2.0
//
// Traps. A fault is either something that we carry out for the guest (a privileged instruction) or is
// reflected: we build on the guest's kernel stack the frame that the processor would have built, and
// go on at the handler from the guest's IDT (docs: lguest ABI 5.3).

import X86

extension LguestInterface {
    static let hypercallVector: UInt32 = 0x1F

    func handleFault(_ fault: Fault, _ cpu: CPU) throws(GuestDeath) {
        if fault.vector == Vector.generalProtection && fault.errorCode == 0 && cpu.cpl == 1 {
            if try emulatePrivileged(cpu) { return }
        }
        if fault.vector == Vector.pageFault {
            data.map { $0.set($0.layout.cr2, fault.address) }
            cpu.system.cr2 = fault.address
        }
        guard data != nil, gate(fault.vector) != nil else { throw unhandled(fault, cpu) }
        try reflect(fault.vector, errorCode: fault.hasErrorCode ? fault.errorCode : nil, cpu)
    }

    /// INT n: a hypercall, or a gate that the caller's privilege must allow.
    func softwareInterrupt(_ vector: UInt8, _ length: UInt8, _ cpu: CPU) throws(GuestDeath) {
        if UInt32(vector) == LguestInterface.hypercallVector && cpu.cpl <= 1 {
            try hypercall(cpu, length: UInt32(length), byVMCall: false)
            return
        }
        // The hypercall gate has privilege 1; entries that were never set count as privilege 0.
        let privilege =
            UInt32(vector) == LguestInterface.hypercallVector ? 1 : Descriptor(idt[Int(vector)]).dpl
        guard privilege >= cpu.cpl, gate(vector) != nil else {
            try handleFault(.generalProtection(UInt32(vector) * 8 + 2), cpu)
            return
        }
        let isUserCall = vector == SystemCallGate.vector && cpu.cpl == 3
        cpu.eip = cpu.eip &+ UInt32(length)
        if isUserCall, let data, LguestInterface.clockCalls.contains(Int(cpu[r32: GPR.eax])) {
            writeTime(data)
        }
        try reflect(vector, errorCode: nil, cpu)
        if isUserCall { prepareSystemCalls(cpu) }
    }

    func gate(_ vector: UInt8) -> Descriptor? {
        let bits = idt[Int(vector)]
        return bits == 0 ? nil : Descriptor(bits)
    }

    /// Enters the guest's handler for `vector`. Throws when there is none or its stack is unusable.
    func reflect(_ vector: UInt8, errorCode: UInt32?, _ cpu: CPU) throws(GuestDeath) {
        guard let gate = gate(vector) else {
            throw unhandled(Fault(vector: vector, errorCode: errorCode ?? 0), cpu)
        }
        tally.traps[Int(vector)] += 1
        if cpu.traces(LguestTrace.reflections) {
            try enterTraced(vector, errorCode, gate, cpu)
        } else {
            try enterHandler(gate, errorCode, cpu)
        }
    }

    /// Builds the frame and goes on at the gate's handler.
    @inline(__always)
    func enterHandler(_ gate: Descriptor, _ errorCode: UInt32?, _ cpu: CPU) throws(GuestDeath) {
        let stack = try pushFrame(errorCode: errorCode, cpu)
        enter(gate, stack, cpu)
    }

    /// Builds the frame on the kernel stack and leaves ESP there. Returns the new SS where the trap comes from
    /// less privilege.
    private func pushFrame(errorCode: UInt32?, _ cpu: CPU) throws(GuestDeath) -> SegmentRegister? {
        let oldESP = cpu[r32: GPR.esp]
        let code = UInt32(cpu[segment: SegmentIndex.cs].selector & 0xFFFC) | UInt32(cpu.cpl)
        var flags = cpu.eflags
        if let data, !data.interruptsEnabled { flags &= ~EFLAGS.interrupt }
        var words = InlineArray<6, UInt32>(repeating: 0)
        var count = 0
        func add(_ value: UInt32) {
            words[count] = value
            count += 1
        }
        var stack: SegmentRegister?
        var top = oldESP
        do throws(Fault) {
            if cpu.cpl != 1 {
                stack = try trapStack(cpu)
                top = stackPointer
                add(UInt32(cpu[segment: SegmentIndex.ss].selector))
                add(oldESP)
            }
            add(flags)
            add(code)
            add(cpu.eip)
            if let errorCode { add(errorCode) }
            if let new = cpu.pushWithin(words.span.extracting(0..<count), below: top) {
                top = new
            } else {
                for n in 0..<count { try push(words[n], &top, cpu) }
            }
        } catch {
            throw kill(
                "bad stack page \(top.hex): the guest's kernel stack cannot take a trap frame",
                suggestion:
                    "a kernel stack overflow, or a page table without the kernel's stack, looks like this",
                topic: "SET_STACK")
        }
        cpu[r32: GPR.esp] = top
        return stack
    }

    /// The stack segment for traps from less privilege.
    private func trapStack(_ cpu: CPU) throws(Fault) -> SegmentRegister {
        if let kernelStack { return kernelStack }
        let stack = try cpu.readDescriptor(stackSelector, orThrow: .stack())
        guard stack.isWritableData, stack.isPresent else { throw .stack() }
        let register = stack.register(selector: stackSelector)
        kernelStack = register
        return register
    }

    private func push(_ value: UInt32, _ top: inout UInt32, _ cpu: CPU) throws(Fault) {
        top = top &- 4
        try cpu.storeSystem(top, value)
    }

    /// Goes on at the gate's handler, in ring 1.
    private func enter(_ gate: Descriptor, _ stack: SegmentRegister?, _ cpu: CPU) {
        let code =
            kernelCode
            ?? Descriptor(cpu.system.privateGDT[LguestSegments.codeIndex]).register(
                selector: LguestSegments.kernelCS)
        kernelCode = code
        cpu.prepareFlagsForHandler()
        cpu.enterFlat(code, stack: stack, level: 1, at: gate.gateOffset)
        if gate.type == Descriptor.SystemType.interrupt32 { data?.interruptsEnabled = false }
    }

    private func unhandled(_ fault: Fault, _ cpu: CPU) -> GuestDeath {
        let name = LguestInterface.name(of: fault.vector)
        let place = "at \(cpu.eip.hex)"
        let when =
            data == nil ? "before LGUEST_INIT" : "the guest has set no handler for it"
        let reason =
            "unhandled trap \(fault.vector) (\(name)) \(place): \(when)\(detail(fault, cpu))"
        return kill(reason, suggestion: suggestion(fault, cpu), topic: "trap \(fault.vector)")
    }

    /// What else is known about the trap, in parentheses.
    private func detail(_ fault: Fault, _ cpu: CPU) -> String {
        if fault.vector == Vector.pageFault {
            let who = fault.errorCode & 4 != 0 ? "user" : "kernel"
            let access =
                fault.errorCode & 2 != 0 ? "write" : fault.address == cpu.eip ? "instruction fetch" : "read"
            let page = fault.errorCode & 1 != 0 ? "protected" : "not present"
            return " (\(who) \(access), address \(fault.address.hex), page \(page))"
        }
        return fault.hasErrorCode ? " (error code \(fault.errorCode.hex))" : ""
    }

    private func suggestion(_ fault: Fault, _ cpu: CPU) -> String? {
        if fault.vector == Vector.invalidOpcode {
            return
                "the bytes at EIP are no instruction of this CPU: a jump into data, or a kernel built for a newer one"
        }
        if fault.vector == Vector.pageFault && cpu.eip == fault.address {
            return "the guest jumped to an address that its page tables do not map; see the last branches"
        }
        if data == nil {
            return
                "the kernel took a path meant for real hardware before it reached its lguest entry: is CONFIG_LGUEST_GUEST set?"
        }
        return nil
    }

    static func name(of vector: UInt8) -> String {
        let names = [
            "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode",
            "device not available", "double fault", "coprocessor overrun", "invalid TSS",
            "segment not present",
            "stack fault", "general protection", "page fault", "spurious", "x87 error", "alignment check",
            "machine check", "SIMD error",
        ]
        return Int(vector) < names.count ? names[Int(vector)] : "interrupt \(vector)"
    }
}

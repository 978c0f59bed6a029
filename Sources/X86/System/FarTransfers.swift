// SPDX-License-Identifier: Apache-2.0
//
// Far jumps, calls, returns, IRET, SYSENTER and SYSEXIT, with their privilege transitions
// (Intel SDM volume 2, and volume 3, 5.8).

extension CPU {
    /// Reads the far pointer of a direct or indirect far transfer.
    private func farPointer(_ i: Instruction) throws(Fault) -> (selector: UInt16, offset: UInt32) {
        if i.destination.kind == .farPointer { return (i.immediate2, i.immediate) }
        return try farPointerInMemory(i)
    }

    /// Selector and offset in memory: two operands, so that a 16-bit address wraps between them.
    func farPointerInMemory(_ i: Instruction) throws(Fault) -> (selector: UInt16, offset: UInt32) {
        let size = UInt32(i.operandSize)
        let offset: UInt32 =
            size == 2
            ? UInt32(try loadPart(i, at: 0) as UInt16) : try loadPart(i, at: 0)
        return (try loadPart(i, at: size), offset)
    }

    /// Makes a checked code descriptor the current one at privilege `level`.
    func commitCode(_ selector: UInt16, _ descriptor: Descriptor, level: UInt8) throws(Fault) {
        let code = selector & 0xFFFC | UInt16(level)
        if descriptor.bits & Descriptor.accessed == 0 {
            try updateDescriptor(selector, descriptor.bits | Descriptor.accessed)
        }
        var register = descriptor.register(selector: code)
        register.attributes |= 1
        self[segment: SegmentIndex.cs] = register
        if cpl != level { setPrivilege(level) }
        updateMode()
    }

    /// The checks of a far jump or call to a code segment without a gate.
    private func checkDirect(_ selector: UInt16, _ d: Descriptor) throws(Fault) {
        let error = Fault.generalProtection(selector: selector)
        if d.isConforming {
            guard d.dpl <= cpl else { throw error }
        } else {
            guard selector & 3 <= UInt16(cpl), d.dpl == cpl else { throw error }
        }
        guard d.isPresent else { throw .notPresent(selector: selector) }
    }

    private func checkLimit(_ offset: UInt32, _ d: Descriptor) throws(Fault) {
        guard offset <= d.limit else { throw .generalProtection() }
    }

    func jumpFar(_ i: Instruction) throws(Fault) {
        let (selector, offset) = try farPointer(i)
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        let error = Fault.generalProtection(selector: selector)
        let d = try readDescriptor(selector, orThrow: error)
        if d.isCode {
            try checkDirect(selector, d)
            try checkLimit(offset, d)
            try commitCode(selector, d, level: cpl)
            recordBranch(to: offset)
            eip = offset
            return
        }
        if let task = try taskTarget(selector, d) {
            try switchTask(to: task, .jump, next: eip &+ UInt32(i.length))
            return
        }
        let gate = try checkCallGate(selector, d)
        let code = try gateTarget(gate)
        guard code.isConforming ? code.dpl <= cpl : code.dpl == cpl else {
            throw .generalProtection(selector: gate.gateSelector)
        }
        let target = gate.type == Descriptor.SystemType.call16 ? gate.gateOffset & 0xFFFF : gate.gateOffset
        try checkLimit(target, code)
        try commitCode(gate.gateSelector, code, level: cpl)
        recordBranch(to: target)
        eip = target
    }

    func callFar(_ i: Instruction, _ next: UInt32) throws(Fault) {
        let (selector, offset) = try farPointer(i)
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        let error = Fault.generalProtection(selector: selector)
        let d = try readDescriptor(selector, orThrow: error)
        let oldCode = UInt32(self[segment: SegmentIndex.cs].selector)
        if d.isCode {
            try checkDirect(selector, d)
            try checkLimit(offset, d)
            var pointer = try pushed(stackPointer, oldCode, size: i.operandSize)
            pointer = try pushed(pointer, next, size: i.operandSize)
            try commitCode(selector, d, level: cpl)
            stackPointer = pointer
            recordBranch(to: offset)
            eip = offset
            return
        }
        if let task = try taskTarget(selector, d) {
            try switchTask(to: task, .call, next: next)
            return
        }
        let gate = try checkCallGate(selector, d)
        let code = try gateTarget(gate)
        let wide = gate.type == Descriptor.SystemType.call32
        let size: UInt8 = wide ? 4 : 2
        let target = wide ? gate.gateOffset : gate.gateOffset & 0xFFFF
        guard code.dpl <= cpl else { throw .generalProtection(selector: gate.gateSelector) }
        try checkLimit(target, code)
        if !code.isConforming && code.dpl < cpl {
            // More privilege: a new stack from the TSS, with the parameters copied.
            var parameters: [UInt32] = []
            for n in 0..<gate.gateParameterCount {
                parameters.append(
                    try stackElement(stackOffset(stackPointer, Int32(n) * Int32(size)), size: size))
            }
            try switchStack(to: code.dpl, external: 0) {
                (pointer: UInt32, ss: UInt32, esp: UInt32) throws(Fault) in
                var top = try pushed(try pushed(pointer, ss, size: size), esp, size: size)
                for value in parameters.reversed() { top = try pushed(top, value, size: size) }
                return try pushed(try pushed(top, oldCode, size: size), next, size: size)
            }
            try commitCode(gate.gateSelector, code, level: code.dpl)
        } else {
            let pointer = try pushed(try pushed(stackPointer, oldCode, size: size), next, size: size)
            try commitCode(gate.gateSelector, code, level: cpl)
            stackPointer = pointer
        }
        recordBranch(to: target)
        eip = target
    }

    /// The task-state segment that a far jump or call reaches, directly or through a task gate; nil when the
    /// descriptor is neither.
    private func taskTarget(_ selector: UInt16, _ d: Descriptor) throws(Fault) -> UInt16? {
        typealias Kind = Descriptor.SystemType
        guard !d.isSegment, [Kind.task, Kind.tss32, Kind.tss32Busy].contains(d.type) else { return nil }
        guard d.dpl >= cpl, d.dpl >= UInt8(selector & 3) else { throw .generalProtection(selector: selector) }
        guard d.isPresent else { throw .notPresent(selector: selector) }
        return d.type == Kind.task ? d.gateSelector : selector
    }

    private func checkCallGate(_ selector: UInt16, _ d: Descriptor) throws(Fault) -> Descriptor {
        let error = Fault.generalProtection(selector: selector)
        let isGate = d.type == Descriptor.SystemType.call32 || d.type == Descriptor.SystemType.call16
        guard !d.isSegment, isGate, d.dpl >= cpl, d.dpl >= UInt8(selector & 3) else { throw error }
        guard d.isPresent else { throw .notPresent(selector: selector) }
        return d
    }

    private func gateTarget(_ gate: Descriptor) throws(Fault) -> Descriptor {
        let selector = gate.gateSelector
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        let error = Fault.generalProtection(selector: selector)
        let code = try readDescriptor(selector, orThrow: error)
        guard code.isCode else { throw error }
        guard code.isPresent else { throw .notPresent(selector: selector) }
        return code
    }

    func returnFar(_ i: Instruction) throws(Fault) {
        let size = i.operandSize
        let start = stackPointer
        let selector = UInt16(
            truncatingIfNeeded: try stackElement(stackOffset(start, Int32(size)), size: size))
        let offset = try stackElement(start, size: size)
        let release = Int32(i.immediate & 0xFFFF)
        let frame = stackOffset(start, 2 * Int32(size) + release)
        try returnTo(selector, offset, frame: frame, size: size, release: release)
        recordBranch(to: offset)
    }

    /// The common part of RETF and IRET: a code segment of the same or less privilege; for less, the
    /// stack pointer and SS follow at `frame`.
    private func returnTo(
        _ selector: UInt16, _ offset: UInt32, frame: UInt32, size: UInt8, release: Int32
    ) throws(Fault) {
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        let error = Fault.generalProtection(selector: selector)
        let d = try readDescriptor(selector, orThrow: error)
        let level = UInt8(selector & 3)
        guard d.isCode, level >= cpl, d.isConforming ? d.dpl <= level : d.dpl == level else { throw error }
        guard d.isPresent else { throw .notPresent(selector: selector) }
        guard level != cpl else {
            try checkLimit(offset, d)
            try commitCode(selector, d, level: level)
            stackPointer = frame
            eip = offset
            return
        }
        let newESP = try stackElement(frame, size: size)
        let newSS = UInt16(truncatingIfNeeded: try stackElement(stackOffset(frame, Int32(size)), size: size))
        let stack = try checkStackSegment(newSS, privilege: level, wrong: Fault.generalProtection)
        try checkLimit(offset, d)
        try commitCode(selector, d, level: level)
        try commitSegment(SegmentIndex.ss, newSS, stack)
        stackPointer = stackOffset(newESP, release)
        eip = offset
        // Segments that the less privileged code may not use become null.
        for index in [SegmentIndex.es, SegmentIndex.ds, SegmentIndex.fs, SegmentIndex.gs] {
            let register = self[segment: index]
            let conforming = register.attributes & 0x1C == 0x1C
            if register.isPresent && register.dpl < level && !conforming {
                self[segment: index] = SegmentRegister()
            }
        }
        updateMode()
    }

    func interruptReturn(_ i: Instruction) throws(Fault) {
        let size = i.operandSize
        if eflagsOther & EFLAGS.nt != 0 {
            let link: UInt16 = try loadSystem(self[segment: SegmentIndex.tr].base)
            try switchTask(to: link, .interruptReturn, next: eip &+ UInt32(i.length))
            return
        }
        let oldLevel = cpl
        let start = stackPointer
        // From the top of the frame down: the order shows when part of it cannot be read.
        let image = try stackElement(stackOffset(start, 2 * Int32(size)), size: size)
        let selector = UInt16(
            truncatingIfNeeded: try stackElement(stackOffset(start, Int32(size)), size: size))
        let offset = try stackElement(start, size: size)
        // The mask is that of the privilege before the return.
        let allowed = popfMask | EFLAGS.rf
        let wasKernel = cpl != 3
        // There is no virtual-8086 mode: CPUID does not announce VME, and Linux enters it only for vm86(2).
        if image & EFLAGS.vm != 0 && cpl == 0 && size == 4 { throw .generalProtection() }
        try returnTo(selector, offset, frame: stackOffset(start, 3 * Int32(size)), size: size, release: 0)
        loadFlags(image, size: size, allowed: allowed)
        if size == 4 && image & EFLAGS.rf != 0 { eflagsOther |= EFLAGS.rf }
        if size == 4 && cpl > oldLevel { cacheReturn(from: oldLevel) }
        recordBranch(to: offset)
        if wasKernel && cpl == 3 { traceUser() }
    }

    /// Switches to the stack that the TSS holds for `level`, with `fill` pushing onto it.
    func switchStack(
        to level: UInt8, external: UInt32,
        fill: (_ pointer: UInt32, _ ss: UInt32, _ esp: UInt32) throws(Fault) -> UInt32
    ) throws(Fault) {
        let task = self[segment: SegmentIndex.tr]
        let slot = 4 + 8 * UInt32(level)
        guard task.isPresent, slot + 7 <= task.limit else { throw .invalidTSS(selector: task.selector) }
        let newESP: UInt32 = try loadSystem(task.base &+ slot)
        let newSS: UInt16 = try loadSystem(task.base &+ slot &+ 4)
        let oldSS = self[segment: SegmentIndex.ss]
        let oldESP = self[r32: GPR.esp]
        let oldLevel = cpl
        let stack = try checkStackSegment(newSS, privilege: level) {
            Fault(vector: Vector.invalidTSS, errorCode: UInt32($0 & 0xFFFC) | external)
        }
        setPrivilege(level)
        do {
            try commitSegment(SegmentIndex.ss, newSS, stack)
            stackPointer = try fill(newESP, UInt32(oldSS.selector), oldESP)
        } catch {
            setPrivilege(oldLevel)
            setSegment(SegmentIndex.ss, oldSS)
            throw error
        }
    }

    private func flatSegment(_ selector: UInt16, code: Bool, level: UInt8) -> SegmentRegister {
        let type: UInt16 = code ? 0xC09B : 0xC093
        return SegmentRegister(
            selector: selector & 0xFFFC | UInt16(level), attributes: type | UInt16(level) << 5, base: 0,
            limit: UInt32.max)
    }

    func systemEnter() throws(Fault) {
        traceFastSystemCall()
        let selector = UInt16(truncatingIfNeeded: system.sysenterCS)
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        eflagsOther &= ~(EFLAGS.interrupt | EFLAGS.vm | EFLAGS.rf)
        setPrivilege(0)
        self[segment: SegmentIndex.cs] = flatSegment(selector, code: true, level: 0)
        self[segment: SegmentIndex.ss] = flatSegment(selector &+ 8, code: false, level: 0)
        updateMode()
        self[r32: GPR.esp] = system.sysenterESP
        eip = system.sysenterEIP
        recordBranch(to: eip)
    }

    func systemExit() throws(Fault) {
        try requireRing0()
        let selector = UInt16(truncatingIfNeeded: system.sysenterCS)
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        let target = self[r32: GPR.edx]
        self[segment: SegmentIndex.cs] = flatSegment(selector &+ 16, code: true, level: 3)
        self[segment: SegmentIndex.ss] = flatSegment(selector &+ 24, code: false, level: 3)
        setPrivilege(3)
        updateMode()
        self[r32: GPR.esp] = self[r32: GPR.ecx]
        eip = target
        recordBranch(to: target)
        traceUser()
    }

    func loadLDT(
        _ selector: UInt16, wrong: (UInt16) -> Fault = { Fault.generalProtection(selector: $0) }
    ) throws(Fault) {
        guard selector & 0xFFFC != 0 else {
            self[segment: SegmentIndex.ldtr] = SegmentRegister(
                selector: selector, attributes: 0, base: 0, limit: 0)
            return
        }
        let error = wrong(selector)
        guard selector & 4 == 0 else { throw error }
        let d = try readDescriptor(selector, orThrow: error)
        guard !d.isSegment, d.type == Descriptor.SystemType.ldt else { throw error }
        guard d.isPresent else { throw .notPresent(selector: selector) }
        self[segment: SegmentIndex.ldtr] = d.register(selector: selector)
    }

    func loadTaskRegister(_ selector: UInt16) throws(Fault) {
        let error = Fault.generalProtection(selector: selector)
        guard selector & 0xFFFC != 0 else { throw .generalProtection() }
        guard selector & 4 == 0 else { throw error }
        let d = try readDescriptor(selector, orThrow: error)
        guard !d.isSegment, d.type == Descriptor.SystemType.tss32 || d.type == Descriptor.SystemType.tss16
        else {
            throw error
        }
        guard d.isPresent else { throw .notPresent(selector: selector) }
        let busy = Descriptor(d.bits | 2 << 40)
        try updateDescriptor(selector, busy.bits)
        self[segment: SegmentIndex.tr] = busy.register(selector: selector)
    }
}

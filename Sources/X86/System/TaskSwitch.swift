// SPDX-License-Identifier: Apache-2.0
//
// Hardware task switching between 32-bit task-state segments (Intel SDM volume 3, chapter 7). Linux uses one: the task
// gate that takes a double fault to a stack that works. 16-bit task-state segments are refused with #TS.

/// What asks for a task switch: decides about busy bits, the back link and NT.
enum TaskSwitchCause {
    case jump, call, interruptReturn
    /// A task gate in the IDT, with the exception's error code if it has one.
    case event(errorCode: UInt32?)
}

extension CPU {
    /// Offsets in a 32-bit task-state segment.
    private enum TaskState {
        static let link: UInt32 = 0, cr3: UInt32 = 28, eip: UInt32 = 32, eflags: UInt32 = 36
        static let registers: UInt32 = 40, segments: UInt32 = 72, ldt: UInt32 = 96
        static let lastByte: UInt32 = 103
    }

    /// Leaves the current task at `next` and enters the one that `selector` names. Faults up to the moment of the
    /// switch leave everything as it was; later ones belong to the new task.
    func switchTask(to selector: UInt16, _ cause: TaskSwitchCause, next: UInt32) throws(Fault) {
        let (returns, nests) =
            switch cause {
            case .interruptReturn: (true, false)
            case .jump: (false, false)
            case .call, .event: (false, true)
            }
        let wrong: Fault =
            returns ? .invalidTSS(selector: selector) : .generalProtection(selector: selector)
        guard selector & 4 == 0, selector & 0xFFFC != 0 else { throw wrong }
        let target = try readDescriptor(selector, orThrow: wrong)
        typealias Kind = Descriptor.SystemType
        guard !target.isSegment, target.type == (returns ? Kind.tss32Busy : Kind.tss32) else { throw wrong }
        guard target.isPresent else { throw .notPresent(selector: selector) }
        guard target.limit >= TaskState.lastByte else { throw .invalidTSS(selector: selector) }
        let old = self[segment: SegmentIndex.tr]
        try saveTask(old, eip: next, flags: returns ? eflags & ~EFLAGS.nt : eflags)
        if !nests { try setBusy(old.selector, false) }
        if nests { try storeSystem(target.base &+ TaskState.link, UInt32(old.selector)) }
        let state = try readTask(target.base)
        if !returns { try setBusy(selector, true) }
        var register = target.register(selector: selector)
        register.attributes |= 2
        self[segment: SegmentIndex.tr] = register
        system.cr0 |= ControlBits.ts
        if system.cr0 & ControlBits.pg != 0 { try setCR3(state.cr3) }
        enterTask(state, nested: nests)
        try loadTaskSegments(state)
        if case .event(let errorCode?) = cause { try push(errorCode, size: 4) }
        try checkTarget(eip)
        recordBranch(to: eip)
    }

    private struct TaskImage {
        var cr3: UInt32 = 0
        var eip: UInt32 = 0
        var eflags: UInt32 = 0
        var registers = InlineArray<8, UInt32>(repeating: 0)
        var segments = InlineArray<6, UInt16>(repeating: 0)
        var ldt: UInt16 = 0
    }

    private func readTask(_ base: UInt32) throws(Fault) -> TaskImage {
        var image = TaskImage()
        image.cr3 = try loadSystem(base &+ TaskState.cr3)
        image.eip = try loadSystem(base &+ TaskState.eip)
        image.eflags = try loadSystem(base &+ TaskState.eflags)
        for n in 0..<8 { image.registers[n] = try loadSystem(base &+ TaskState.registers &+ 4 * UInt32(n)) }
        for n in 0..<6 { image.segments[n] = try loadSystem(base &+ TaskState.segments &+ 4 * UInt32(n)) }
        image.ldt = try loadSystem(base &+ TaskState.ldt)
        return image
    }

    private func saveTask(_ task: SegmentRegister, eip: UInt32, flags: UInt32) throws(Fault) {
        guard task.isPresent, task.limit >= TaskState.lastByte else {
            throw .invalidTSS(selector: task.selector)
        }
        try storeSystem(task.base &+ TaskState.eip, eip)
        try storeSystem(task.base &+ TaskState.eflags, flags)
        for n in 0..<8 {
            try storeSystem(task.base &+ TaskState.registers &+ 4 * UInt32(n), self[r32: n])
        }
        for n in 0..<6 {
            try storeSystem(task.base &+ TaskState.segments &+ 4 * UInt32(n), self[segment: n].selector)
        }
    }

    private func setBusy(_ selector: UInt16, _ busy: Bool) throws(Fault) {
        let d = try readDescriptor(selector, orThrow: .invalidTSS(selector: selector))
        let bit: UInt64 = 2 << 40
        try updateDescriptor(selector, busy ? d.bits | bit : d.bits & ~bit)
    }

    /// Registers and flags of the new task, before its segments are looked at.
    private func enterTask(_ state: TaskImage, nested: Bool) {
        for n in 0..<8 { self[r32: n] = state.registers[n] }
        eip = state.eip
        setEFLAGS(nested ? state.eflags | EFLAGS.nt : state.eflags)
        for n in 0..<6 {
            self[segment: n] = SegmentRegister(selector: state.segments[n], attributes: 0, base: 0, limit: 0)
        }
        setPrivilege(UInt8(state.segments[SegmentIndex.cs] & 3))
    }

    private func loadTaskSegments(_ state: TaskImage) throws(Fault) {
        try loadLDT(state.ldt, wrong: Fault.invalidTSS)
        let selector = state.segments[SegmentIndex.cs]
        let wrong = Fault.invalidTSS(selector: selector)
        guard selector & 0xFFFC != 0 else { throw wrong }
        let code = try readDescriptor(selector, orThrow: wrong)
        guard code.isCode, code.isConforming ? code.dpl <= cpl : code.dpl == cpl else { throw wrong }
        guard code.isPresent else { throw .notPresent(selector: selector) }
        let stack = try checkStackSegment(
            state.segments[SegmentIndex.ss], privilege: cpl, wrong: Fault.invalidTSS)
        try commitSegment(SegmentIndex.ss, state.segments[SegmentIndex.ss], stack)
        try commitCode(selector, code, level: cpl)
        for index in [SegmentIndex.es, SegmentIndex.ds, SegmentIndex.fs, SegmentIndex.gs] {
            do {
                try loadSegment(index, state.segments[index])
            } catch {
                // What is #GP for an instruction that loads a segment is #TS here.
                throw error.vector == Vector.generalProtection
                    ? .invalidTSS(selector: state.segments[index]) : error
            }
        }
    }
}

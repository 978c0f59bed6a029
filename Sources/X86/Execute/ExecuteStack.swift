// SPDX-License-Identifier: Apache-2.0
//
// PUSH, POP and their relatives. ESP is written last, so that a fault in the middle leaves it.

extension CPU {
    /// ESP or SP, as SS.B says.
    var stackPointer: UInt32 {
        get { mode.contains(.stack32) ? self[r32: GPR.esp] : UInt32(self[r16: GPR.esp]) }
        nonmutating set {
            if mode.contains(.stack32) {
                self[r32: GPR.esp] = newValue
            } else {
                self[r16: GPR.esp] = UInt16(truncatingIfNeeded: newValue)
            }
        }
    }

    /// The stack offset `pointer + delta`, wrapped to the stack's width.
    func stackOffset(_ pointer: UInt32, _ delta: Int32) -> UInt32 {
        let sum = pointer &+ UInt32(bitPattern: delta)
        return mode.contains(.stack32) ? sum : sum & 0xFFFF
    }

    /// Stores `value` below `pointer` and returns the new pointer, without committing it.
    func pushed(_ pointer: UInt32, _ value: UInt32, size: UInt8) throws(Fault) -> UInt32 {
        let next = stackOffset(pointer, -Int32(size))
        let address = try linear(SegmentIndex.ss, next, size: UInt32(size), write: true)
        if size == 2 {
            try store(address, UInt16(truncatingIfNeeded: value))
        } else {
            try store(address, value)
        }
        return next
    }

    /// Loads the stack element at `pointer`.
    func stackElement(_ pointer: UInt32, size: UInt8) throws(Fault) -> UInt32 {
        let address = try linear(SegmentIndex.ss, pointer, size: UInt32(size), write: false)
        return size == 2 ? UInt32(try load(address) as UInt16) : try load(address)
    }

    /// One push with commit.
    func push(_ value: UInt32, size: UInt8) throws(Fault) {
        stackPointer = try pushed(stackPointer, value, size: size)
    }

    func executeStack(_ i: Instruction) throws(Fault) {
        let size = i.operandSize
        switch i.operation {
        case .push:
            let value: UInt32 =
                size == 2 ? UInt32(try read(i.destination, i) as UInt16) : try read(i.destination, i)
            try push(value, size: size)
        case .pushSegment: try pushSelector(self[segment: Int(i.destination.index)].selector, size)
        case .pop: try pop(i)
        case .popSegment:
            let pointer = stackPointer
            let selector = UInt16(truncatingIfNeeded: try stackElement(pointer, size: size))
            // The old stack's width counts, also when SS is what is popped.
            let after = stackOffset(pointer, Int32(size))
            let whole = mode.contains(.stack32) ? after : self[r32: GPR.esp] & 0xFFFF_0000 | after
            try loadSegment(Int(i.destination.index), selector)
            self[r32: GPR.esp] = whole
            if i.destination.index == UInt8(SegmentIndex.ss) { system.interruptShadow = true }
        case .pusha:
            var pointer = stackPointer
            for index in 0..<8 { pointer = try pushed(pointer, self[r32: index], size: size) }
            stackPointer = pointer
        case .popa: try popAll(size)
        case .pushf: try push(eflags & ~(EFLAGS.rf | EFLAGS.vm), size: size)
        case .popf:
            let pointer = stackPointer
            let image = try stackElement(pointer, size: size)
            stackPointer = stackOffset(pointer, Int32(size))
            loadFlags(image, size: size, allowed: popfMask)
        case .enter: try enter(i)
        default:
            // LEAVE
            let frame = mode.contains(.stack32) ? self[r32: GPR.ebp] : UInt32(self[r16: GPR.ebp])
            let value = try stackElement(frame, size: size)
            stackPointer = stackOffset(frame, Int32(size))
            if size == 2 {
                self[r16: GPR.ebp] = UInt16(truncatingIfNeeded: value)
            } else {
                self[r32: GPR.ebp] = value
            }
        }
    }

    /// A selector pushed with a 32-bit operand size: the upper half is written as zero.
    private func pushSelector(_ selector: UInt16, _ size: UInt8) throws(Fault) {
        try push(UInt32(selector), size: size)
    }

    private func pop(_ i: Instruction) throws(Fault) {
        let size = i.operandSize
        let pointer = stackPointer
        let value = try stackElement(pointer, size: size)
        let after = stackOffset(pointer, Int32(size))
        guard i.destination.isMemory else {
            stackPointer = after
            if size == 2 {
                self[r16: Int(i.destination.index)] = UInt16(truncatingIfNeeded: value)
            } else {
                self[r32: Int(i.destination.index)] = value
            }
            return
        }
        // An address that uses ESP is computed after the increment (Intel SDM volume 2, POP).
        let before = self[r32: GPR.esp]
        stackPointer = after
        do {
            if size == 2 {
                try write(i.destination, i, UInt16(truncatingIfNeeded: value))
            } else {
                try write(i.destination, i, value)
            }
        } catch {
            self[r32: GPR.esp] = before
            throw error
        }
    }

    private func popAll(_ size: UInt8) throws(Fault) {
        var values = InlineArray<8, UInt32>(repeating: 0)
        var pointer = stackPointer
        for index in 0..<8 {
            values[index] = try stackElement(pointer, size: size)
            pointer = stackOffset(pointer, Int32(size))
        }
        for index in 0..<8 where 7 - index != GPR.esp {
            if size == 2 {
                self[r16: 7 - index] = UInt16(truncatingIfNeeded: values[index])
            } else {
                self[r32: 7 - index] = values[index]
            }
        }
        stackPointer = pointer
    }

    private func enter(_ i: Instruction) throws(Fault) {
        let size = i.operandSize
        let level = Int(i.immediate2 & 31)
        let wide = mode.contains(.stack32)
        var pointer = try pushed(stackPointer, self[r32: GPR.ebp], size: size)
        let frame = pointer
        if level > 0 {
            var link = wide ? self[r32: GPR.ebp] : UInt32(self[r16: GPR.ebp])
            for _ in 1..<max(level, 1) {
                link = stackOffset(link, -Int32(size))
                pointer = try pushed(pointer, try stackElement(link, size: size), size: size)
            }
            pointer = try pushed(pointer, wide ? frame : self[r32: GPR.esp] & 0xFFFF_0000 | frame, size: size)
        }
        pointer = stackOffset(pointer, -Int32(i.immediate & 0xFFFF))
        // The new top must be writable, though nothing is written there yet.
        let top = try linear(SegmentIndex.ss, pointer, size: UInt32(size), write: true)
        try probeWrite(top, UInt32(size))
        if size == 2 {
            self[r16: GPR.ebp] = UInt16(truncatingIfNeeded: frame)
        } else {
            self[r32: GPR.ebp] = wide ? frame : self[r32: GPR.esp] & 0xFFFF_0000 | frame
        }
        stackPointer = pointer
    }

    /// What POPF and IRET may change at the current privilege: IOPL needs CPL 0, IF needs CPL ≤ IOPL.
    var popfMask: UInt32 {
        var mask = EFLAGS.arithmetic | EFLAGS.tf | EFLAGS.df | EFLAGS.nt | EFLAGS.ac | EFLAGS.id
        if cpl == 0 { mask |= EFLAGS.iopl }
        if UInt32(cpl) <= (eflagsOther >> 12 & 3) { mask |= EFLAGS.interrupt }
        return mask
    }

    /// Puts the allowed bits of an image into EFLAGS; RF is cleared.
    func loadFlags(_ image: UInt32, size: UInt8, allowed: UInt32) {
        let mask = size == 2 ? allowed & 0xFFFF : allowed
        let old = eflagsOther
        setEFLAGS(eflags & ~mask & ~EFLAGS.rf | image & mask)
        if eflagsOther & ~old & EFLAGS.interrupt != 0 && system.interruptWaits {
            attention |= Attention.interrupt
        }
    }
}

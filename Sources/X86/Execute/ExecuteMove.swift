// SPDX-License-Identifier: Apache-2.0
//
// Moves, exchanges, conditional moves and segment-register moves.

extension CPU {
    func executeMove(_ i: Instruction) throws(Fault) {
        switch i.operation {
        case .lea:
            let address = effectiveAddress(i)
            if i.operandSize == 2 {
                self[r16: Int(i.destination.index)] = UInt16(truncatingIfNeeded: address)
            } else {
                self[r32: Int(i.destination.index)] = address
            }
        case .set: try write(i.destination, i, condition(i.condition) ? 1 : 0 as UInt8)
        case .xlat:
            let sum = self[r32: GPR.ebx] &+ UInt32(self[r8: GPR.eax])
            let offset = i.addressSize == 2 ? sum & 0xFFFF : sum
            self[r8: GPR.eax] = try load(try linear(Int(i.segment), offset, size: 1, write: false))
        case .lahf: self[r8: 4] = UInt8(truncatingIfNeeded: eflags)
        case .sahf:
            let of = overflow ? EFLAGS.of : 0
            setArithmeticFlags(UInt32(self[r8: 4]) & ~EFLAGS.of | of)
        case .movFromSegment:
            let selector = self[segment: Int(i.source.index)].selector
            // A register destination gets the selector zero-extended; memory always 16 bits.
            if i.destination.size == 4 {
                self[r32: Int(i.destination.index)] = UInt32(selector)
            } else {
                try write(i.destination, i, selector)
            }
        case .movToSegment:
            let selector: UInt16 = try read(i.source, i)
            try loadSegment(Int(i.destination.index), selector)
            if i.destination.index == UInt8(SegmentIndex.ss) { system.interruptShadow = true }
        case .lds, .les, .lfs, .lgs, .lss: try loadFarPointer(i)
        case .cmpxchg8b: try compareExchange8(i)
        case .movzx, .movsx: try extend(i)
        default:
            switch i.destination.size {
            case 1: try move(i, as: UInt8.self)
            case 2: try move(i, as: UInt16.self)
            default: try move(i, as: UInt32.self)
            }
        }
    }

    private func move<T: Word>(_ i: Instruction, as type: T.Type) throws(Fault) {
        switch i.operation {
        case .mov: try write(i.destination, i, try read(i.source, i) as T)
        case .cmov:
            // The load happens, and may fault, whether the condition holds or not.
            let value: T = try read(i.source, i)
            if condition(i.condition) { writeRegister(Int(i.destination.index), value) }
        case .xchg:
            let b: T = try read(i.source, i)
            var a: T = 0
            try modify(i) { (old: T) in
                a = old
                return b
            }
            writeRegister(Int(i.source.index), a)
        case .xadd:
            let b: T = try read(i.source, i)
            var a: T = 0
            try modify(i) { (old: T) in
                a = old
                return add(old, b)
            }
            // With the same register twice the sum must win.
            if i.destination.isMemory || i.destination.index != i.source.index {
                writeRegister(Int(i.source.index), a)
            }
        default:
            let expected: T = readRegister(GPR.eax)
            let replacement: T = try read(i.source, i)
            var found: T = 0
            try modify(i) { (old: T) in
                found = old
                _ = subtract(expected, old)
                return old == expected ? replacement : old
            }
            if found != expected { writeRegister(GPR.eax, found) }
        }
    }

    private func extend(_ i: Instruction) throws(Fault) {
        let value: UInt32
        if i.source.size == 1 {
            let byte: UInt8 = try read(i.source, i)
            value = i.operation == .movzx ? UInt32(byte) : CPU.extended(byte)
        } else {
            let word: UInt16 = try read(i.source, i)
            value = i.operation == .movzx ? UInt32(word) : CPU.extended(word)
        }
        if i.operandSize == 2 {
            self[r16: Int(i.destination.index)] = UInt16(truncatingIfNeeded: value)
        } else {
            self[r32: Int(i.destination.index)] = value
        }
    }

    private func loadFarPointer(_ i: Instruction) throws(Fault) {
        let (selector, value) = try farPointerInMemory(i)
        let target =
            switch i.operation {
            case .les: SegmentIndex.es
            case .lds: SegmentIndex.ds
            case .lss: SegmentIndex.ss
            case .lfs: SegmentIndex.fs
            default: SegmentIndex.gs
            }
        try loadSegment(target, selector)
        if i.operandSize == 2 {
            self[r16: Int(i.destination.index)] = UInt16(truncatingIfNeeded: value)
        } else {
            self[r32: Int(i.destination.index)] = value
        }
    }

    private func compareExchange8(_ i: Instruction) throws(Fault) {
        let address = try operandAddress(i, size: 8, write: true)
        try probeWrite(address, 8)
        let found: UInt64 = try load(address)
        let expected = UInt64(self[r32: GPR.edx]) << 32 | UInt64(self[r32: GPR.eax])
        let equal = found == expected
        let replacement = UInt64(self[r32: GPR.ecx]) << 32 | UInt64(self[r32: GPR.ebx])
        // Memory is written in either case, as the processor does.
        try store(address, equal ? replacement : found)
        if !equal {
            self[r32: GPR.eax] = UInt32(truncatingIfNeeded: found)
            self[r32: GPR.edx] = UInt32(truncatingIfNeeded: found >> 32)
        }
        setArithmeticFlags(eflags & ~EFLAGS.zf | (equal ? EFLAGS.zf : 0))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Operands of generated instructions: addresses that hit page boundaries, immediates, targets of jumps.

import CHostOracle
import X86

extension Generator {
    private static let window = UInt32(ORACLE_WINDOW)

    /// A linear address for an operand of about `size` bytes.
    mutating func chooseTarget(_ size: Int) -> UInt32 {
        let window = Generator.window
        // Vectors and FXSAVE images have to be aligned: mostly are.
        if isFloating && size >= 16 && random.chance(65) {
            return window + UInt32(random.below(0x2000 - size + 1)) & ~15
        }
        switch random.below(100) {
        case 0..<62:
            let place = window + UInt32(random.below(0x2000 - 64)) + 16
            return random.chance(50) ? place & ~15 : place
        case 62..<76: return window + 0x1000 - UInt32(random.below(size + 1))
        case 76..<86: return window + 0x2000 - UInt32(random.below(size + 1))
        case 86..<93: return window - UInt32(random.below(size + 1))
        case 93..<96: return UInt32(ORACLE_READ_ONLY) + UInt32(random.below(0x1000))
        case 96..<98: return UInt32(ORACLE_CODE) + UInt32(random.below(0x100))
        default: return random.value()
        }
    }

    /// ModRM, SIB and displacement of a memory operand with `reg` in the reg field.
    mutating func memoryOperand(_ reg: UInt8) -> [UInt8] {
        addressSize == 2 ? memoryOperand16(reg) : memoryOperand32(reg)
    }

    private mutating func memoryOperand32(_ reg: UInt8) -> [UInt8] {
        // Later instructions of a sequence cannot rely on registers.
        let absolute = !isFirst && random.chance(75)
        let mode = absolute ? 0 : UInt8(random.below(3))
        let rm = absolute ? 5 : UInt8(random.below(8))
        var bytes = [mode << 6 | reg << 3 | rm]
        var base: Int? = Int(rm)
        var index: Int?
        var scale: UInt32 = 0
        if rm == 4 {
            let sib = random.byte()
            bytes.append(sib)
            scale = UInt32(sib >> 6)
            index = sib >> 3 & 7 == 4 ? nil : Int(sib >> 3 & 7)
            base = sib & 7 == 5 && mode == 0 ? nil : Int(sib & 7)
        } else if rm == 5 && mode == 0 {
            base = nil
        }
        if !hasOverride { dataSegment = base == 4 || base == 5 ? SegmentIndex.ss : SegmentIndex.ds }
        let linear = chooseTarget(memoryBytes)
        target = linear
        let offset = linear &- Subject.base(test.selectors[dataSegment])
        let small = UInt32(bitPattern: Int32(Int8(bitPattern: random.byte())))
        func value(_ register: Int?) -> UInt32 { register.map { test.gpr[$0] } ?? 0 }
        var displacement: UInt32 = mode == 1 ? small : 0
        if mode == 2 || base == nil {
            displacement = offset &- value(base) &- value(index) << scale
            if let base { pinned.insert(base) }
            if let index { pinned.insert(index) }
        } else if let base, base != index, !pinned.contains(base) {
            if let index { pinned.insert(index) }
            pin(base, offset &- displacement &- value(index) << scale)
        } else if let index, index != base, scale == 0 {
            pin(index, offset &- displacement &- value(base))
        }
        if mode == 1 {
            bytes.append(UInt8(truncatingIfNeeded: displacement))
        } else if mode == 2 || base == nil {
            bytes += displacement.bytes(4)
        }
        return bytes
    }

    private mutating func memoryOperand16(_ reg: UInt8) -> [UInt8] {
        let absolute = !isFirst && random.chance(75)
        let mode = absolute ? 0 : UInt8(random.below(3))
        let rm = absolute ? 6 : UInt8(random.below(8))
        var bytes = [mode << 6 | reg << 3 | rm]
        let pairs: [(Int?, Int?)] = [
            (GPR.ebx, GPR.esi), (GPR.ebx, GPR.edi), (GPR.ebp, GPR.esi), (GPR.ebp, GPR.edi), (nil, GPR.esi),
            (nil, GPR.edi), (GPR.ebp, nil), (GPR.ebx, nil),
        ]
        var (base, index) = pairs[Int(rm)]
        if mode == 0 && rm == 6 { (base, index) = (nil, nil) }
        if !hasOverride { dataSegment = base == GPR.ebp ? SegmentIndex.ss : SegmentIndex.ds }
        let linear = chooseTarget(memoryBytes)
        target = linear
        let offset = linear &- Subject.base(test.selectors[dataSegment])
        func value(_ register: Int?) -> UInt32 { register.map { test.gpr[$0] } ?? 0 }
        var displacement: UInt32 = 0
        if mode == 1 { displacement = UInt32(bitPattern: Int32(Int8(bitPattern: random.byte()))) }
        if mode == 2 || base == nil && index == nil {
            displacement = offset &- value(base) &- value(index)
            if let base { pinned.insert(base) }
            if let index { pinned.insert(index) }
        } else if let free = [base, index].compactMap({ $0 }).first(where: { !pinned.contains($0) }) {
            let other = free == base ? index : base
            if let other { pinned.insert(other) }
            let low = (offset &- displacement &- value(other)) & 0xFFFF
            pin(free, low | test.gpr[free] & 0xFFFF_0000)
        }
        if mode == 1 {
            bytes.append(UInt8(truncatingIfNeeded: displacement))
        } else if mode == 2 || base == nil && index == nil {
            bytes += displacement.bytes(2)
        }
        return bytes
    }

    /// The bytes of an operand that follows ModRM; `length` is what the instruction has so far.
    mutating func immediate(_ spec: OperandSpec, _ length: Int) -> [UInt8] {
        switch spec {
        case .Ib:
            switch entry.operation {
            case .aam, .aad: return [random.chance(60) ? 10 : UInt8(random.value() & 0xFF)]
            case .enter:
                return [random.chance(60) ? 0 : random.chance(50) ? UInt8(random.below(4)) : random.byte()]
            // Anything but the gate of the host's system calls.
            case .int: return [random.pick([0, 1, 3, 4, 5, 0x0D, 0x20, 0x7F, 0x81, 0xFF])]
            default: return [UInt8(random.value() & 0xFF)]
            }
        case .Is: return [UInt8(random.value() & 0xFF)]
        case .Iw:
            let value = random.chance(80) ? UInt32(random.below(64)) : random.value()
            return value.bytes(2)
        case .Iz: return random.value().bytes(Int(operandSize))
        case .Jb:
            // Over the bytes behind the instruction, to where only INT3 is; or back before its start.
            let far = random.chance(50) ? 16 + random.below(100) : -20 - random.below(100)
            return [UInt8(bitPattern: Int8(random.chance(10) ? 0 : far))]
        case .Jz:
            let next = test.eip &+ UInt32(test.code.count + length) &+ operandSize
            return (codeTarget() &- next).bytes(Int(operandSize))
        case .Ob, .Ov:
            let linear = chooseTarget(Int(operandSize))
            target = linear
            return (linear &- Subject.base(test.selectors[dataSegment])).bytes(Int(addressSize))
        case .Ap:
            return codeTarget().bytes(Int(operandSize)) + UInt32(codeSelector()).bytes(2)
        default: return []
        }
    }

    /// An offset in CS to go to: mostly one where INT3 stands.
    mutating func codeTarget() -> UInt32 {
        let base = test.selectors.cs & 4 != 0 ? 0 : UInt32(ORACLE_CODE)
        switch random.below(20) {
        case 0: return base + 0x2000
        case 1: return Generator.window &+ random.word() & 0xFFF
        case 2: return random.value() & 0x0FFF_FFFF
        default:
            let place = UInt32(random.below(0x2000))
            let start = test.eip &- base
            // Not into the bytes of the case.
            return base + (place &- start < 64 ? (place + 128) & 0x1FFF : place)
        }
    }

    mutating func codeSelector() -> UInt16 {
        if localSegments && random.chance(30) { return random.pick([0x1F, 0x37, 0x47, 0x3F, 0x1C, 0x45]) }
        return random.pick([0x23, 0x23, 0x23, 0x23, 0x20, 0x21, 0x2B, 0, 3, 0x10, 0xF8, 0x7B, 0xFFFF])
    }

    mutating func dataSelector() -> UInt16 {
        if localSegments && random.chance(50) {
            return random.pick([0x07, 0x0F, 0x17, 0x1F, 0x27, 0x2F, 0x37, 0x3F, 0x47, 0x4F, 0x04, 0x06, 0x87])
        }
        return random.pick([
            0x2B, 0x2B, 0x28, 0x29, 0x2A, 0x23, 0x20, 0, 1, 2, 3, 0x18, 0x10, 0x08, 0x7B, 0x80,
            0xFFFB,
        ])
    }
}

extension UInt32 {
    /// The low `count` bytes, lowest first.
    func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: self >> UInt32(8 * $0)) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// States and operands for the x87, MMX and SSE units: numbers with a liking for zeros, denormals, infinities, NaNs,
// unnormals and the ends of every format; control words with any rounding, precision and set of masks.

import CHostOracle
import X86

extension Random {
    private mutating func sign() -> UInt64 { next() & 1 << 63 }

    /// Bits of a 32-bit number.
    mutating func single() -> UInt32 {
        let sign = word() & 1 << 31
        switch below(10) {
        case 0: return sign
        case 1: return sign | 0x7F80_0000
        case 2: return sign | 0x7FC0_0000 | word() >> 12
        case 3: return sign | 0x7F80_0001 | word() >> 12
        case 4: return sign | word() >> UInt32(9 + below(23))
        case 5: return Float(below(2000) - 1000).bitPattern
        case 6: return sign | UInt32(below(40)) << 23 | word() >> 9
        case 7: return sign | UInt32(254 - below(40)) << 23 | word() >> 9
        case 8: return sign | UInt32(126 + below(3)) << 23 | word() >> UInt32(9 + below(20))
        default: return word()
        }
    }

    /// Bits of a 64-bit number.
    mutating func double() -> UInt64 {
        switch below(12) {
        case 0: return sign()
        case 1: return sign() | 0x7FF0_0000_0000_0000
        case 2: return sign() | 0x7FF8_0000_0000_0000 | next() >> 14
        case 3: return sign() | 0x7FF0_0000_0000_0001 | next() >> 14
        case 4: return sign() | next() >> UInt64(12 + below(52))
        case 5: return Double(below(2000) - 1000).bitPattern
        case 6: return Double(Int64(bitPattern: next()) >> Int64(below(64))).bitPattern
        case 7: return sign() | UInt64(below(64)) << 52 | next() >> 12
        case 8: return sign() | UInt64(0x7FE - below(64)) << 52 | next() >> 12
        // Around the ends of the 32-bit format.
        case 9: return sign() | UInt64(0x3FF + 126 - below(300)) << 52 | next() >> UInt64(12 + below(40))
        case 10: return UInt64(0x3FE + below(3)) << 52 | next() >> 12
        default: return next()
        }
    }

    /// Eight bytes of a vector: one number, two, or integers.
    mutating func quadword() -> UInt64 {
        switch below(4) {
        case 0, 1: double()
        case 2: UInt64(single()) << 32 | UInt64(single())
        default: next() >> UInt64(below(64))
        }
    }

    /// Significand, and sign with exponent, of an 80-bit number.
    mutating func extended() -> (significand: UInt64, exponent: UInt16) {
        let sign = UInt16(below(2)) << 15
        let integer: UInt64 = 1 << 63
        switch below(13) {
        case 0: return (0, sign)
        case 1: return (integer, sign | 0x7FFF)
        case 2: return (0xC000_0000_0000_0000 | next() >> 3, sign | 0x7FFF)
        case 3: return (0x8000_0000_0000_0001 | next() >> 3, sign | 0x7FFF)
        case 4: return (next() >> UInt64(1 + below(60)), sign)  // denormal
        case 5: return (next() | integer, sign)  // pseudo-denormal
        case 6: return (next() >> 1, sign | UInt16(below(0x8000)))  // unnormal, pseudo-infinity, pseudo-NaN
        case 7: return (next() | integer, sign | UInt16(0x3FFF + 70 - below(140)))
        case 8: return (next() | integer, sign | UInt16(1 + below(70)))
        case 9: return (next() | integer, sign | UInt16(0x7FFE - below(70)))
        case 10:
            let value = UInt64(1 + below(1000))
            let shift = value.leadingZeroBitCount
            return (value << UInt64(shift), sign | UInt16(0x3FFF + 63 - shift))
        case 11: return (next() | integer, sign | UInt16(0x3FFF - below(2)))
        default: return (next() | integer, sign | UInt16(below(0x7FFF)))
        }
    }

    /// The ten bytes of an 80-bit number, or of a decimal one.
    mutating func extendedBytes() -> [UInt8] {
        if chance(15) { return (0..<10).map { _ in UInt8(below(10) << 4 | below(10)) } }
        let (significand, exponent) = extended()
        return significand.littleEndianBytes + UInt32(exponent).bytes(2)
    }

    mutating func x87Control() -> UInt16 {
        let masks = UInt16(chance(67) ? 0x3F : below(64))
        return masks | 0x40 | pick([0, 2, 3, 3]) << 8 | UInt16(below(8)) << 10
    }

    /// A status word that goes with the control word: seldom with an exception that waits.
    mutating func x87Status(_ control: UInt16) -> UInt16 {
        var status = UInt16(truncatingIfNeeded: word()) & 0x7F7F
        if !chance(5) { status &= ~0x3F | control }
        if chance(50) { status &= ~0x7F }
        return status & ~control & 0x3F != 0 ? status | 0x8080 : status
    }

    mutating func mxcsr() -> UInt32 {
        var value: UInt32 = 0x1F80 | UInt32(below(4)) << 13 | UInt32(below(64) & below(64))
        if chance(33) { value = value & ~0x1F80 | UInt32(below(64)) << 7 }
        if chance(25) { value |= 0x8000 }  // FTZ
        if chance(25) { value |= 0x40 }  // DAZ
        return value
    }

    /// An FXSAVE image that a processor can hold.
    mutating func fpuImage() -> [UInt8] {
        let control = x87Control()
        let tags = UInt32(chance(67) ? 0xFF : below(256))
        var image = UInt32(control).bytes(2) + UInt32(x87Status(control)).bytes(2) + tags.bytes(4)
        image += [UInt8](repeating: 0, count: 16)
        image += mxcsr().bytes(4) + UInt32(0xFFFF).bytes(4)
        for _ in 0..<8 {
            if chance(25) {
                image += quadword().littleEndianBytes + UInt32(0xFFFF).bytes(4)  // as MMX leaves them
            } else {
                let (significand, exponent) = extended()
                image += significand.littleEndianBytes + UInt32(exponent).bytes(4)
            }
            image += [0, 0, 0, 0]
        }
        for _ in 0..<16 { image += quadword().littleEndianBytes }
        return image + [UInt8](repeating: 0, count: 512 - image.count)
    }
}

extension Generator {
    /// Size of the memory operand.
    var memoryBytes: Int {
        guard isFloating else { return Int(operandSize) }
        switch entry.operation {
        case .fxsave, .fxrstor: return 512
        case .maskmov: return 16
        case .x87Memory where entry.operands.0 == .M:
            return environmentBytes + (entry.encoding.opcode == 0xDD ? 80 : 0)
        default: break
        }
        for spec in [entry.operands.0, entry.operands.1] {
            switch spec {
            case .Mb: return 1
            case .Mw, .Ew: return 2
            case .Md, .Ed, .Wd, .Qd: return 4
            case .Mq, .Wq, .Qq: return 8
            case .Mt: return 10
            case .Mo, .Wo: return 16
            default: break
            }
        }
        return Int(operandSize)
    }

    private var environmentBytes: Int { operandSize == 2 ? 14 : 28 }

    /// Whether the instruction stores the addresses of the last x87 instruction.
    var storesPointers: Bool {
        switch (entry.operation, entry.encoding.opcode, entry.encoding.regs) {
        case (.fxsave, _, _), (.x87Memory, 0xD9, [6]), (.x87Memory, 0xDD, [6]): true
        default: false
        }
    }

    mutating func chooseFloatingState() {
        test.fpu = random.fpuImage()
        for n in 0..<8 where random.chance(40) { test.gpr[n] = random.single() }
    }

    /// Whether an operand of 16 bytes and more raises #AC is up to the processor (Intel SDM volume 2, MOVUPS and FXSAVE).
    mutating func noteVector() {
        if isFloating && memoryBytes >= 16 { test.eflags &= ~EFLAGS.ac }
    }

    /// MASKMOVQ and MASKMOVDQU write where EDI says.
    mutating func prepareMaskedMove() {
        let linear = chooseTarget(16)
        noteVector()
        pin(GPR.edi, linear &- Subject.base(test.selectors[dataSegment]))
    }

    /// Puts numbers into the memory operand, and has what processors may store as they like forgotten.
    mutating func finishFloating() {
        guard let target else { return }
        for (n, word) in operand().words.enumerated() { patch(target &+ 4 * UInt32(n), word) }
        guard storesPointers else { return }
        if entry.operation == .fxsave {
            test.forgotten = [
                TestCase.Range(address: target &+ 6, count: 18),  // FOP to FDS
                TestCase.Range(address: target &+ 28, count: 4),  // MXCSR_MASK
                TestCase.Range(address: target &+ 288, count: 224),  // reserved in 32-bit mode
            ]
        } else {
            let size = UInt32(environmentBytes)
            let first: UInt32 = size == 14 ? 6 : 12
            test.forgotten = [TestCase.Range(address: target &+ first, count: size - first)]
        }
    }

    private mutating func operand() -> [UInt8] {
        switch (entry.operation, entry.encoding.opcode, entry.encoding.regs) {
        case (.fxrstor, _, _):
            var image = Array(random.fpuImage().prefix(288))
            if random.chance(10) { for n in [1, 3, 5, 43, 60] { image[n] = random.byte() } }
            return random.chance(10) ? Array(image[..<24]) + random.value().bytes(4) + image[28...] : image
        case (.ldmxcsr, _, _): return (random.chance(85) ? random.mxcsr() : random.value()).bytes(4)
        case (.x87Memory, 0xD9, [4]): return environment()
        case (.x87Memory, 0xDD, [4]): return environment() + (0..<8).flatMap { _ in random.extendedBytes() }
        case (.x87Memory, 0xD9, [5]): return UInt32(random.x87Control()).bytes(2)
        default: break
        }
        switch memoryBytes {
        case 1, 2: return random.value().bytes(2)
        case 4: return (random.chance(70) ? random.single() : random.value()).bytes(4)
        case 8: return random.quadword().littleEndianBytes
        case 10: return random.extendedBytes()
        case 16: return random.quadword().littleEndianBytes + random.quadword().littleEndianBytes
        default: return []
        }
    }

    private mutating func environment() -> [UInt8] {
        let control = random.chance(80) ? random.x87Control() : UInt16(truncatingIfNeeded: random.word())
        let status = random.chance(80) ? random.x87Status(control) : UInt16(truncatingIfNeeded: random.word())
        let size = environmentBytes / 7
        return [UInt32(control), UInt32(status)].flatMap { $0.bytes(size) }
            + (0..<5).flatMap { _ in random.word().bytes(size) }
    }
}

extension UInt64 {
    var littleEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> UInt64(8 * $0)) } }
}

extension [UInt8] {
    /// The bytes as 32-bit words, lowest byte first; zeros fill the last.
    fileprivate var words: [UInt32] {
        stride(from: 0, to: count, by: 4).map { start in
            self[start..<Swift.min(start + 4, count)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic flags are not computed when an instruction sets them but when somebody asks. An
// instruction leaves two words: its result, sign-extended to 32 bits, and the carries that went
// out of the bit positions that matter. From these each flag is one or two operations away.
//
//   result        ZF = (result == 0), SF = bit 31, PF = parity of the low byte
//   aux bit 31    CF: the carry out of the operand's top bit
//   aux bit 30    the carry into the top bit; OF = bit 31 xor bit 30
//   aux bit 3     AF: the carry out of bit 3
//   aux 8…15      xor-ed into the low byte before parity is taken } only POPF and its kin need
//   aux bit 0     xor-ed into SF                                  } these two

/// Bit positions in EFLAGS (Intel SDM volume 1, 3.4.3).
public enum EFLAGS {
    public static let cf: UInt32 = 1 << 0
    public static let pf: UInt32 = 1 << 2
    public static let af: UInt32 = 1 << 4
    public static let zf: UInt32 = 1 << 6
    public static let sf: UInt32 = 1 << 7
    public static let tf: UInt32 = 1 << 8
    public static let interrupt: UInt32 = 1 << 9
    public static let df: UInt32 = 1 << 10
    public static let of: UInt32 = 1 << 11
    public static let iopl: UInt32 = 3 << 12
    public static let nt: UInt32 = 1 << 14
    public static let rf: UInt32 = 1 << 16
    public static let vm: UInt32 = 1 << 17
    public static let ac: UInt32 = 1 << 18
    public static let vif: UInt32 = 1 << 19
    public static let vip: UInt32 = 1 << 20
    public static let id: UInt32 = 1 << 21

    public static let arithmetic = cf | pf | af | zf | sf | of
    /// Every bit that exists, without the always-one bit 1.
    public static let all: UInt32 = 0x003F_7FD5
}

extension CPU {
    @inlinable @inline(__always) public var carry: Bool { flagAux >> 31 != 0 }
    @inlinable @inline(__always) public var carryBit: UInt32 { flagAux >> 31 }
    @inlinable @inline(__always) public var zero: Bool { flagResult == 0 }
    @inlinable @inline(__always) public var sign: Bool { (flagResult >> 31) ^ (flagAux & 1) != 0 }
    @inlinable @inline(__always) public var overflow: Bool { (flagAux ^ (flagAux << 1)) >> 31 != 0 }
    @inlinable @inline(__always) public var adjust: Bool { flagAux & 8 != 0 }
    @inlinable @inline(__always) public var parity: Bool {
        // Sixteen answers in one constant: bit n tells whether n has an even number of ones.
        var byte = (flagResult ^ (flagAux >> 8)) & 0xFF
        byte ^= byte >> 4
        return (0x9669 >> (byte & 15)) & 1 != 0
    }

    /// EFLAGS as PUSHF shows it.
    @inlinable
    public var eflags: UInt32 {
        let result = flagResult
        let aux = flagAux
        let zero: UInt32 = result == 0 ? EFLAGS.zf : 0
        let even: UInt32 = parity ? EFLAGS.pf : 0
        let sign = (result >> 31 ^ aux & 1) << 7
        return eflagsOther | 2 | aux >> 31 | even | (aux & 8) << 1 | zero | sign | ((aux ^ aux << 1) >> 31)
            << 11
    }

    /// Sets all of EFLAGS without any privilege check.
    public func setEFLAGS(_ value: UInt32) {
        let changed = eflagsOther ^ value
        eflagsOther = value & EFLAGS.all & ~EFLAGS.arithmetic | 2
        if changed & EFLAGS.ac != 0 { selectTables() }
        setArithmeticFlags(value)
        if value & EFLAGS.tf != 0 { attention |= Attention.singleStep }
    }

    /// Sets CF, PF, AF, ZF, SF and OF from an EFLAGS image and leaves the others.
    @inlinable
    public func setArithmeticFlags(_ value: UInt32) {
        flagResult = value & EFLAGS.zf != 0 ? 0 : 0x100
        let cf = value & 1
        let of = (value >> 11) & 1
        flagAux =
            cf << 31 | (cf ^ of) << 30 | (value & EFLAGS.af) >> 1 | (value >> 7) & 1 | ((~value >> 2) & 1)
            << 8
    }

    /// For a guest interface that enters a handler: clears TF, VM, RF and NT, sets IF.
    public func prepareFlagsForHandler() {
        eflagsOther = eflagsOther & ~(EFLAGS.tf | EFLAGS.vm | EFLAGS.rf | EFLAGS.nt) | EFLAGS.interrupt
    }

    @inlinable @inline(__always)
    public func setCarry(_ on: Bool) {
        let cf: UInt32 = on ? 1 : 0
        let of = (flagAux ^ (flagAux << 1)) >> 31
        flagAux = flagAux & 0x3FFF_FFFF | cf << 31 | (cf ^ of) << 30
    }

    /// Whether the condition `code` (0–15, the low four bits of Jcc) holds.
    @inlinable @inline(__always)
    public func condition(_ code: UInt8) -> Bool {
        let positive: Bool
        switch code >> 1 & 7 {
        case 0: positive = overflow
        case 1: positive = carry
        case 2: positive = zero
        case 3: positive = carry || zero
        case 4: positive = sign
        case 5: positive = parity
        case 6: positive = sign != overflow
        default: positive = zero || sign != overflow
        }
        return positive != (code & 1 != 0)
    }
}

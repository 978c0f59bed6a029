// SPDX-License-Identifier: Apache-2.0
//
// SSE and MMX instructions whose immediate byte selects words, bytes or a shift count.

import CHost

extension CPU {
    func executeSSEImmediate(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let index = Int(i.destination.index)
        let destination = self[xmm: index]
        switch (i.map, i.opcode) {
        case (1, 0x71), (1, 0x72), (1, 0x73):
            self[xmm: index] = CPU.shifted(destination, i)
        case (1, 0xC4):
            let word = try generalSource(i, i.source)
            self[xmm: index] = CPU.insertWord(destination, word, i.immediate & 7)
        default:
            let source = try vectorSource(i)
            self[xmm: index] = lguest_sse_immediate(destination, source, CPU.family(i).rawValue, i.immediate)
        }
    }

    /// PSHUFD, PSHUFHW, PSHUFLW, SHUFPS, SHUFPD, PALIGNR.
    private static func family(_ i: Instruction) -> lguest_immediate_family {
        if i.map == 3 { return LGUEST_PALIGNR }
        switch (i.opcode, i.mandatoryPrefix) {
        case (0xC6, 0): return LGUEST_SHUFPS
        case (0xC6, _): return LGUEST_SHUFPD
        case (_, 1): return LGUEST_PSHUFD
        case (_, 2): return LGUEST_PSHUFHW
        default: return LGUEST_PSHUFLW
        }
    }

    /// Shifts by an immediate: the shift of the same element by a register that holds the count, and
    /// of the whole vector by bytes.
    private static func shifted(_ value: SIMD2<UInt64>, _ i: Instruction) -> SIMD2<UInt64> {
        let whole = UInt128(value.y) << 64 | UInt128(value.x)
        let bits = UInt128(i.immediate & 0xFF) * 8
        switch (i.opcode, i.reg) {
        // PSRLDQ, PSLLDQ; Swift's shifts give zero beyond the width
        case (0x73, 3): return split(whole >> bits)
        case (0x73, 7): return split(whole << bits)
        default: return lguest_sse(value, SIMD2(UInt64(i.immediate & 0xFF), 0), shiftStub(i))
        }
    }

    /// The shift with a variable count that has the element size and direction of `i` (71–73).
    private static func shiftStub(_ i: Instruction) -> UInt32 {
        let base: UInt32
        switch i.reg {
        case 2: base = 0x1D0
        case 4: base = 0x1E0
        default: base = 0x1F0
        }
        return base + UInt32(i.opcode & 3)
    }

    private static func split(_ value: UInt128) -> SIMD2<UInt64> {
        SIMD2(UInt64(truncatingIfNeeded: value), UInt64(truncatingIfNeeded: value >> 64))
    }

    /// PSHUFW, PALIGNR and shifts on MMX registers.
    func executeMMXImmediate(_ i: Instruction) throws(Fault) {
        try requireMMX()
        let index = Int(i.destination.index)
        if i.opcode >= 0x71 && i.opcode <= 0x73 {
            enterMMX()
            let count = SIMD2(UInt64(i.immediate & 0xFF), 0)
            let value = SIMD2(self[significand: index], 0)
            writeMMX(index, lguest_sse(value, count, CPU.shiftStub(i)).x)
            return
        }
        let source = try mmxSource(i)
        enterMMX()
        if i.map == 3 {
            // Destination above source, shifted right by bytes.
            let both = UInt128(self[significand: index]) << 64 | UInt128(source)
            writeMMX(index, UInt64(truncatingIfNeeded: both >> (UInt128(i.immediate & 0xFF) * 8)))
        } else {
            let value = SIMD2(source, 0)
            writeMMX(index, lguest_sse_immediate(value, value, LGUEST_PSHUFLW.rawValue, i.immediate).x)
        }
    }

    static func extractWord(_ value: SIMD2<UInt64>, _ index: UInt32) -> UInt32 {
        UInt32((index < 4 ? value.x : value.y) >> (UInt64(index & 3) * 16) & 0xFFFF)
    }

    static func insertWord(_ value: SIMD2<UInt64>, _ word: UInt32, _ index: UInt32) -> SIMD2<UInt64> {
        let shift = UInt64(index & 3) * 16
        var result = value
        if index < 4 {
            result.x = result.x & ~(0xFFFF << shift) | UInt64(word & 0xFFFF) << shift
        } else {
            result.y = result.y & ~(0xFFFF << shift) | UInt64(word & 0xFFFF) << shift
        }
        return result
    }
}

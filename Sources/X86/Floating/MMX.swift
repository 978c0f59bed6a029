// SPDX-License-Identifier: Apache-2.0
//
// MMX: the x87 registers under another name. Every MMX instruction sets the stack top to 0 and all
// tags to valid; a written register gets an exponent of ones (Intel SDM volume 1, 9.5 and volume 3,
// 12.2). Calculations are carried out by the SSE2 form of the same instruction on the low half of a
// vector, so that the host's x87 unit is not touched.

import CHost

extension CPU {
    /// Stack top 0, all registers valid.
    @inline(__always)
    func enterMMX() {
        if fsw & 0x3800 != 0 { setX87Top(0) }
        ftw = 0xFF
    }

    /// MM(index) whatever the stack top is.
    @inline(__always)
    subscript(physical index: Int) -> UInt64 { self[significand: index &- x87Top] }

    /// Writes MM(index) after `enterMMX`.
    @inline(__always)
    func writeMMX(_ index: Int, _ value: UInt64) {
        self[significand: index] = value
        self[exponent: index] = 0xFFFF
    }

    /// The MMX register or memory source; call it before `enterMMX`, since it may fault.
    @inline(__always)
    func mmxSource(_ i: Instruction) throws(Fault) -> UInt64 {
        if i.source.kind == .mmx { return self[physical: Int(i.source.index)] }
        if i.source.size == 4 {
            return UInt64(try load(try operandAddress(i, size: 4, write: false), as: UInt32.self))
        }
        return try load(try operandAddress(i, size: 8, write: false))
    }

    func executeMMX(_ i: Instruction) throws(Fault) {
        try requireMMX()
        let source = try mmxSource(i)
        enterMMX()
        let index = Int(i.destination.index)
        writeMMX(index, CPU.calculate(self[significand: index], source, i))
    }

    private static func calculate(_ a: UInt64, _ b: UInt64, _ i: Instruction) -> UInt64 {
        let wide = 0x100 | UInt32(i.opcode)
        switch (i.map, i.opcode) {
        // PACKSSWB, PACKUSWB, PACKSSDW: both operands side by side
        case (1, 0x63), (1, 0x67), (1, 0x6B):
            return lguest_sse(SIMD2(a, b), SIMD2(0, 0), wide).x
        // PUNPCKH: the upper half of what PUNPCKL makes of eight bytes
        case (1, 0x68), (1, 0x69), (1, 0x6A):
            return lguest_sse(SIMD2(a, 0), SIMD2(b, 0), wide - 8).y
        // PSHUFB: eight bytes to choose from
        case (2, 0x00):
            return lguest_sse(SIMD2(a, 0), SIMD2(b & 0x8787_8787_8787_8787, 0), i.sseStub).x
        // PHADD, PHSUB: pairs within both operands
        case (2, 0x01), (2, 0x02), (2, 0x03), (2, 0x05), (2, 0x06), (2, 0x07):
            return lguest_sse(SIMD2(a, b), SIMD2(a, b), i.sseStub).x
        case (2, _):
            return lguest_sse(SIMD2(a, 0), SIMD2(b, 0), i.sseStub).x
        default:
            return lguest_sse(SIMD2(a, 0), SIMD2(b, 0), wide).x
        }
    }

    /// MOVD, MOVQ, MOVNTQ, PINSRW, PEXTRW, PMOVMSKB.
    func executeMMXMove(_ i: Instruction) throws(Fault) {
        try requireMMX()
        switch i.opcode {
        case 0x6E:
            let value = try generalSource(i, i.source)
            enterMMX()
            writeMMX(Int(i.destination.index), UInt64(value))
        case 0x6F:
            let value = try mmxSource(i)
            enterMMX()
            writeMMX(Int(i.destination.index), value)
        case 0x7E:
            try write(i.destination, i, UInt32(truncatingIfNeeded: self[physical: Int(i.source.index)]))
            enterMMX()
        case 0x7F, 0xE7:
            let value = self[physical: Int(i.source.index)]
            if i.destination.isMemory {
                try store(try operandAddress(i, size: 8, write: true), value)
                enterMMX()
            } else {
                enterMMX()
                writeMMX(Int(i.destination.index), value)
            }
        case 0xC4:
            let word = try generalSource(i, i.source)
            enterMMX()
            let index = Int(i.destination.index)
            let old = SIMD2(self[significand: index], 0)
            writeMMX(index, CPU.insertWord(old, word, i.immediate & 3).x)
        case 0xC5:
            enterMMX()
            let source = SIMD2(self[significand: Int(i.source.index)], 0)
            self[r32: Int(i.destination.index)] = CPU.extractWord(source, i.immediate & 3)
        default:
            enterMMX()
            self[r32: Int(i.destination.index)] = CPU.signMask(self[significand: Int(i.source.index)])
        }
    }

    /// PMOVMSKB: the top bits of eight bytes.
    private static func signMask(_ value: UInt64) -> UInt32 {
        var mask: UInt32 = 0
        for byte in 0..<8 { mask |= UInt32(value >> UInt64(byte * 8 + 7) & 1) << UInt32(byte) }
        return mask
    }

    func executeEMMS() throws(Fault) {
        try requireMMX()
        enterMMX()
        ftw = 0
    }

    /// Conversions between MMX registers and XMM: the XMM-only instruction on the low half. A zero in
    /// the other half converts without any exception.
    func executeSSEConvert(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let double = i.mandatoryPrefix == 1
        let index = Int(i.destination.index)
        if i.opcode == 0x2A {
            // With a memory operand these do not touch the x87 unit at all.
            let register = i.source.kind == .mmx
            if register { try requireMMX() }
            let source = SIMD2(try mmxSource(i), 0)
            // CVTDQ2PD, CVTDQ2PS
            let stub: UInt32 = double ? 0x2E6 : 0x05B
            // Processors have entered MMX mode before #XM is found out.
            if register { enterMMX() }
            let result = try numeric { mxcsr in lguest_sse_numeric(source, source, stub, &mxcsr) }
            self[xmm: index] = double ? result : SIMD2(result.x, self[xmmHigh: index])
            return
        }
        try requireMMX()
        var source = try vectorSource(i)
        if !double { source.y = 0 }
        // CVT(T)PD2DQ, CVT(T)PS2DQ
        let truncates = i.opcode == 0x2C
        let stub: UInt32 = double ? (truncates ? 0x1E6 : 0x3E6) : (truncates ? 0x25B : 0x15B)
        enterMMX()
        writeMMX(index, try numeric { mxcsr in lguest_sse_numeric(source, source, stub, &mxcsr) }.x)
    }
}

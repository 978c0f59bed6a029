// SPDX-License-Identifier: Apache-2.0
//
// SSE moves between XMM registers, memory, general and MMX registers. They look at no number, so
// there is nothing to ask the host.

extension CPU {
    func executeSSEMove(_ i: Instruction) throws(Fault) {
        try requireSSE()
        switch UInt16(i.mandatoryPrefix) << 8 | UInt16(i.opcode) {
        // MOVUPS, MOVUPD, MOVDQU, LDDQU: any alignment
        case 0x010, 0x110, 0x26F, 0x3F0:
            let index = Int(i.destination.index)
            if i.source.kind == .xmm {
                self[xmm: index] = self[xmm: Int(i.source.index)]
            } else {
                self[xmm: index] = try loadVector(try operandAddress(i, size: 16, write: false))
            }
        case 0x011, 0x111, 0x27F:
            let value = self[xmm: Int(i.source.index)]
            if i.destination.kind == .xmm {
                self[xmm: Int(i.destination.index)] = value
            } else {
                try storeVector(try operandAddress(i, size: 16, write: true), value)
            }
        // MOVAPS, MOVAPD, MOVDQA, MOVNTPS, MOVNTPD, MOVNTDQ
        case 0x028, 0x128, 0x16F:
            self[xmm: Int(i.destination.index)] = try vectorSource(i)
        case 0x029, 0x129, 0x17F, 0x02B, 0x12B, 0x1E7:
            let value = self[xmm: Int(i.source.index)]
            if i.destination.kind == .xmm {
                self[xmm: Int(i.destination.index)] = value
            } else {
                try storeVector(try alignedAddress(i, write: true), value)
            }
        case 0x210, 0x211, 0x310, 0x311: try moveScalar(i)
        case 0x16E, 0x17E: try moveDoubleword(i)
        // MOVQ
        case 0x27E: self[xmm: Int(i.destination.index)] = SIMD2(try vectorSource(i).x, 0)
        case 0x1D6:
            let value = self[xmmLow: Int(i.source.index)]
            if i.destination.kind == .xmm {
                self[xmm: Int(i.destination.index)] = SIMD2(value, 0)
            } else {
                try store(try operandAddress(i, size: 8, write: true), value)
            }
        // MOVQ2DQ, MOVDQ2Q
        case 0x2D6:
            try requireMMX()
            enterMMX()
            self[xmm: Int(i.destination.index)] = SIMD2(self[significand: Int(i.source.index)], 0)
        case 0x3D6:
            try requireMMX()
            enterMMX()
            writeMMX(Int(i.destination.index), self[xmmLow: Int(i.source.index)])
        default: try moveHalf(i)
        }
    }

    /// MOVSS, MOVSD: a load clears the rest of the register, a register move keeps it.
    private func moveScalar(_ i: Instruction) throws(Fault) {
        let single = i.mandatoryPrefix == 2
        let size: UInt32 = single ? 4 : 8
        if i.destination.isMemory {
            let address = try operandAddress(i, size: size, write: true)
            if single {
                try store(address, self[xmmDouble: Int(i.source.index)])
            } else {
                try store(address, self[xmmLow: Int(i.source.index)])
            }
        } else if i.source.isMemory {
            self[xmm: Int(i.destination.index)] = try vectorSource(i)
        } else if single {
            self[xmmDouble: Int(i.destination.index)] = self[xmmDouble: Int(i.source.index)]
        } else {
            self[xmmLow: Int(i.destination.index)] = self[xmmLow: Int(i.source.index)]
        }
    }

    /// MOVD.
    private func moveDoubleword(_ i: Instruction) throws(Fault) {
        if i.opcode == 0x6E {
            self[xmm: Int(i.destination.index)] = SIMD2(UInt64(try generalSource(i, i.source)), 0)
        } else {
            try write(i.destination, i, self[xmmDouble: Int(i.source.index)])
        }
    }

    /// MOVLPS, MOVLPD, MOVHPS, MOVHPD with memory: one half, the other stays.
    private func moveHalf(_ i: Instruction) throws(Fault) {
        let address = try operandAddress(i, size: 8, write: i.destination.isMemory)
        let high = i.opcode & 4 != 0
        switch (i.destination.isMemory, high) {
        case (true, false): try store(address, self[xmmLow: Int(i.source.index)])
        case (true, true): try store(address, self[xmmHigh: Int(i.source.index)])
        case (false, false): self[xmmLow: Int(i.destination.index)] = try load(address)
        case (false, true): self[xmmHigh: Int(i.destination.index)] = try load(address)
        }
    }

    /// MASKMOVQ, MASKMOVDQU: stores the bytes whose mask byte has its top bit set, at DS:(E)DI.
    func executeMaskedMove(_ i: Instruction) throws(Fault) {
        let wide = i.source.kind == .xmm
        if wide { try requireSSE() } else { try requireMMX() }
        let length: UInt32 = wide ? 16 : 8
        let offset = i.addressSize == 2 ? UInt32(self[r16: GPR.edi]) : self[r32: GPR.edi]
        let address = try linear(Int(i.segment), offset, size: length, write: true)
        let mask = wide ? self[xmm: Int(i.source.index)] : SIMD2(self[physical: Int(i.source.index)], 0)
        let value =
            wide ? self[xmm: Int(i.destination.index)] : SIMD2(self[physical: Int(i.destination.index)], 0)
        // All bytes to be stored must be writable before the first one is.
        for byte in 0..<length where CPU.byte(mask, byte) & 0x80 != 0 { try probeWrite(address &+ byte, 1) }
        for byte in 0..<length where CPU.byte(mask, byte) & 0x80 != 0 {
            try store(address &+ byte, CPU.byte(value, byte))
        }
        if !wide { enterMMX() }
    }

    private static func byte(_ vector: SIMD2<UInt64>, _ index: UInt32) -> UInt8 {
        UInt8(truncatingIfNeeded: (index < 8 ? vector.x : vector.y) >> (UInt64(index & 7) * 8))
    }
}

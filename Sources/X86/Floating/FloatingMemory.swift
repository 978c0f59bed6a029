// SPDX-License-Identifier: Apache-2.0
//
// Memory operands wider than an integer register. Stores make sure of the whole operand before
// they touch any of it.

extension CPU {
    /// The linear address of a memory operand of 16 bytes that must be aligned: #GP(0) if it is not.
    @inline(__always)
    func alignedAddress(_ i: Instruction, write: Bool) throws(Fault) -> UInt32 {
        let address = try operandAddress(i, size: 16, write: write)
        if address & 15 != 0 { throw .generalProtection() }
        return address
    }

    @inline(__always)
    func loadVector(_ address: UInt32) throws(Fault) -> SIMD2<UInt64> {
        let low: UInt64 = try load(address)
        return SIMD2(low, try load(address &+ 8))
    }

    @inline(__always)
    func storeVector(_ address: UInt32, _ value: SIMD2<UInt64>) throws(Fault) {
        try probeWrite(address, 16)
        try store(address, value.x)
        try store(address &+ 8, value.y)
    }

    /// An 80-bit or smaller operand in the low bytes of a vector.
    func loadOperand(_ address: UInt32, size: UInt8) throws(Fault) -> SIMD2<UInt64> {
        switch size {
        case 2: return SIMD2(UInt64(try load(address, as: UInt16.self)), 0)
        case 4: return SIMD2(UInt64(try load(address, as: UInt32.self)), 0)
        case 8: return SIMD2(try load(address), 0)
        default:
            let low: UInt64 = try load(address)
            return SIMD2(low, UInt64(try load(address &+ 8, as: UInt16.self)))
        }
    }

    /// The reverse of `loadOperand`; the caller has probed.
    func storeOperand(_ address: UInt32, _ value: SIMD2<UInt64>, size: UInt8) throws(Fault) {
        switch size {
        case 2: try store(address, UInt16(truncatingIfNeeded: value.x))
        case 4: try store(address, UInt32(truncatingIfNeeded: value.x))
        case 8: try store(address, value.x)
        default:
            try store(address, value.x)
            try store(address &+ 8, UInt16(truncatingIfNeeded: value.y))
        }
    }

    /// The XMM or memory source of an SSE instruction; bytes beyond the operand's size are zero.
    @inline(__always)
    func vectorSource(_ i: Instruction) throws(Fault) -> SIMD2<UInt64> {
        if i.source.kind == .xmm { return self[xmm: Int(i.source.index)] }
        switch i.source.size {
        case 16: return try loadVector(try alignedAddress(i, write: false))
        case 8: return SIMD2(try load(try operandAddress(i, size: 8, write: false)), 0)
        default:
            let value: UInt32 = try load(try operandAddress(i, size: 4, write: false))
            return SIMD2(UInt64(value), 0)
        }
    }

    /// A general register or a memory operand of 2 or 4 bytes.
    @inline(__always)
    func generalSource(_ i: Instruction, _ operand: Operand) throws(Fault) -> UInt32 {
        if operand.kind == .register { return self[r32: Int(operand.index)] }
        if operand.size == 2 {
            return UInt32(try load(try operandAddress(i, size: 2, write: false), as: UInt16.self))
        }
        return try load(try operandAddress(i, size: 4, write: false))
    }
}

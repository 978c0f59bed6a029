// SPDX-License-Identifier: Apache-2.0
//
// Pieces that many handlers share, inlined into the run loop.

import X86

// SAFETY: micro-op pointers come from the block cache and point to live micro-ops (see `BlockCache`).
extension UnsafeMutablePointer where Pointee == MicroOp {
    @inline(__always) var dst: Int { Int(pointee.destination) }
    @inline(__always) var src: Int { Int(pointee.source) }
    @inline(__always) var imm: UInt32 { pointee.immediate }
    @inline(__always) var imm8: UInt8 { UInt8(truncatingIfNeeded: pointee.immediate) }
    @inline(__always) var imm16: UInt16 { UInt16(truncatingIfNeeded: pointee.immediate) }
    @inline(__always) var condition: UInt8 { pointee.condition }
}

extension CPU {
    /// Effective address of the micro-op's memory operand.
    @inline(__always)
    func effective(_ op: UnsafeMutablePointer<MicroOp>) -> UInt32 {
        self[r32: Int(op.pointee.base)]
            &+ (self[r32: Int(op.pointee.index)] << UInt32(op.pointee.scale & 3)) &+ op.pointee.displacement
    }

    /// Linear address of the operand; only FS, GS and CS need a look at the segment in flat mode.
    @inline(__always)
    func address(_ op: UnsafeMutablePointer<MicroOp>, _ size: UInt32, write: Bool) throws(Fault) -> UInt32 {
        let offset = effective(op)
        if _fastPath(op.pointee.segment == UInt8(SegmentIndex.flat)) { return offset }
        return try linear(Int(op.pointee.segment), offset, size: size, write: write)
    }

    /// Read, compute, write back; a fault leaves flags and memory alone.
    @inline(__always)
    func modify<T: Word>(_ op: UnsafeMutablePointer<MicroOp>, _ body: (T) -> T) throws(Fault) {
        let size = UInt32(MemoryLayout<T>.size)
        let target = try address(op, size, write: true)
        try probeWrite(target, size)
        try store(target, body(try load(target)))
    }

    @inline(__always)
    func logic<T: Word>(_ result: T) -> T {
        setLogicFlags(result)
        return result
    }

    @inline(__always)
    func push32(_ value: UInt32) throws(Fault) {
        let top = self[r32: GPR.esp] &- 4
        try store(top, value)
        self[r32: GPR.esp] = top
    }

    /// Goes on at `target`, which ends the block.
    @inline(__always)
    func take(_ target: UInt32, _ op: UnsafeMutablePointer<MicroOp>) {
        eip = target
        recordBranch(to: target)
        instructions &+= UInt64(op.pointee.number)
    }

    @inline(__always)
    func branch(_ taken: Bool, _ start: UInt32, _ op: UnsafeMutablePointer<MicroOp>) {
        instructions &+= UInt64(op.pointee.number)
        if taken {
            let target = start &+ op.pointee.immediate
            eip = target
            recordBranch(to: target)
        } else {
            eip = start &+ op.pointee.extra
        }
    }

    @inline(__always)
    func multiplyUnsigned(_ factor: UInt32) {
        let product = UInt64(self[r32: GPR.eax]) &* UInt64(factor)
        let low = UInt32(truncatingIfNeeded: product)
        let high = UInt32(truncatingIfNeeded: product >> 32)
        self[r32: GPR.eax] = low
        self[r32: GPR.edx] = high
        setFlags(result: low, carry: high != 0, overflow: high != 0)
    }

    @inline(__always)
    func divideUnsigned(_ divisor: UInt32) throws(Fault) {
        let dividend = UInt64(self[r32: GPR.edx]) << 32 | UInt64(self[r32: GPR.eax])
        guard divisor != 0, self[r32: GPR.edx] < divisor else { throw .divideError }
        self[r32: GPR.eax] = UInt32(truncatingIfNeeded: dividend / UInt64(divisor))
        self[r32: GPR.edx] = UInt32(truncatingIfNeeded: dividend % UInt64(divisor))
    }
}

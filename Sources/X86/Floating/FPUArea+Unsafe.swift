// SPDX-License-Identifier: Apache-2.0
//
// The fields of the FXSAVE image in which the guest's x87, MMX and SSE registers live
// (Intel SDM volume 1, table 10-2).

// SAFETY of everything here: `fpuArea` points to the 512 bytes inside the one CPUState that
// `CPUStorage` owns; offsets are constants, or register numbers masked to 0–7, below 512. The image is
// only aligned to 8 bytes, therefore the unaligned loads of vectors.
extension CPU {
    @inline(__always)
    var fpuArea: UnsafeMutableRawPointer {
        withUnsafeMutablePointer(to: &state.pointee.fpu) { UnsafeMutableRawPointer($0) }
    }

    @inline(__always)
    private func field<T: BitwiseCopyable>(_ offset: Int) -> T {
        fpuArea.load(fromByteOffset: offset, as: T.self)
    }

    @inline(__always)
    private func setField<T: BitwiseCopyable>(_ offset: Int, _ value: T) {
        fpuArea.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    /// x87 control word.
    @inline(__always) public var fcw: UInt16 {
        get { field(0) }
        nonmutating set { setField(0, newValue) }
    }
    /// x87 status word.
    @inline(__always) public var fsw: UInt16 {
        get { field(2) }
        nonmutating set { setField(2, newValue) }
    }
    /// Tag word in its short form: a one for each *physical* register that is not empty.
    @inline(__always) public var ftw: UInt8 {
        get { field(4) }
        nonmutating set { setField(4, newValue) }
    }
    /// Opcode, address and operand address of the last x87 instruction.
    @inline(__always) var fop: UInt16 {
        get { field(6) }
        nonmutating set { setField(6, newValue) }
    }
    @inline(__always) var fip: UInt32 {
        get { field(8) }
        nonmutating set { setField(8, newValue) }
    }
    @inline(__always) var fcs: UInt16 {
        get { field(12) }
        nonmutating set { setField(12, newValue) }
    }
    @inline(__always) var fdp: UInt32 {
        get { field(16) }
        nonmutating set { setField(16, newValue) }
    }
    @inline(__always) var fds: UInt16 {
        get { field(20) }
        nonmutating set { setField(20, newValue) }
    }
    @inline(__always) public var mxcsr: UInt32 {
        get { field(24) }
        nonmutating set { setField(24, newValue) }
    }

    /// The 64 low bits of ST(index); of MM(index) while the stack top is 0.
    @inline(__always) subscript(significand index: Int) -> UInt64 {
        get { field(32 + (index & 7) * 16) }
        nonmutating set { setField(32 + (index & 7) * 16, newValue) }
    }
    /// Sign and exponent of ST(index).
    @inline(__always) subscript(exponent index: Int) -> UInt16 {
        get { field(40 + (index & 7) * 16) }
        // The six bytes behind it are reserved and zero.
        nonmutating set { setField(40 + (index & 7) * 16, UInt64(newValue)) }
    }

    /// XMM(index) as two quadwords.
    @inline(__always) public subscript(xmm index: Int) -> SIMD2<UInt64> {
        get { fpuArea.loadUnaligned(fromByteOffset: 160 + (index & 7) * 16, as: SIMD2<UInt64>.self) }
        nonmutating set { setField(160 + (index & 7) * 16, newValue) }
    }
    /// The low quadword of XMM(index).
    @inline(__always) subscript(xmmLow index: Int) -> UInt64 {
        get { field(160 + (index & 7) * 16) }
        nonmutating set { setField(160 + (index & 7) * 16, newValue) }
    }
    /// The high quadword of XMM(index).
    @inline(__always) subscript(xmmHigh index: Int) -> UInt64 {
        get { field(168 + (index & 7) * 16) }
        nonmutating set { setField(168 + (index & 7) * 16, newValue) }
    }
    /// The low doubleword of XMM(index).
    @inline(__always) subscript(xmmDouble index: Int) -> UInt32 {
        get { field(160 + (index & 7) * 16) }
        nonmutating set { setField(160 + (index & 7) * 16, newValue) }
    }
}

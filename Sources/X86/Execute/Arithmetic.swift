// SPDX-License-Identifier: Apache-2.0
//
// The integer operations with their flags, once for all operand sizes. Engines and tests share them.

public typealias Word = FixedWidthInteger & UnsignedInteger & BitwiseCopyable

extension CPU {
    /// The result, sign-extended to 32 bits, as the lazy flags keep it.
    @inlinable @inline(__always)
    static func extended<T: Word>(_ value: T) -> UInt32 {
        switch T.bitWidth {
        case 8: UInt32(bitPattern: Int32(Int8(truncatingIfNeeded: value)))
        case 16: UInt32(bitPattern: Int32(Int16(truncatingIfNeeded: value)))
        default: UInt32(truncatingIfNeeded: value)
        }
    }

    /// Carries out of each bit, moved to where the lazy flags keep them.
    @inlinable @inline(__always)
    static func aux<T: Word>(_ carries: T) -> UInt32 {
        let c = UInt32(truncatingIfNeeded: carries)
        return T.bitWidth == 32 ? c & 0xC000_0008 : c << UInt32(32 - T.bitWidth) & 0xC000_0000 | c & 8
    }

    @inlinable @inline(__always)
    public func setLogicFlags<T: Word>(_ result: T) {
        flagResult = CPU.extended(result)
        flagAux = 0
    }

    @inlinable @inline(__always)
    public func add<T: Word>(_ a: T, _ b: T, carry: T = 0) -> T {
        let result = a &+ b &+ carry
        flagResult = CPU.extended(result)
        flagAux = CPU.aux((a & b) | ((a | b) & ~result))
        return result
    }

    @inlinable @inline(__always)
    public func subtract<T: Word>(_ a: T, _ b: T, borrow: T = 0) -> T {
        let result = a &- b &- borrow
        flagResult = CPU.extended(result)
        flagAux = CPU.aux((~a & b) | ((~a | b) & result))
        return result
    }

    @inlinable @inline(__always)
    public func increment<T: Word>(_ a: T) -> T {
        let cf = carry
        let result = add(a, 1)
        setCarry(cf)
        return result
    }

    @inlinable @inline(__always)
    public func decrement<T: Word>(_ a: T) -> T {
        let cf = carry
        let result = subtract(a, 1)
        setCarry(cf)
        return result
    }

    /// Sets CF and OF to given values, SF, ZF, PF from the result, AF to zero.
    @inlinable @inline(__always)
    public func setFlags<T: Word>(result: T, carry: Bool, overflow: Bool) {
        flagResult = CPU.extended(result)
        let cf: UInt32 = carry ? 1 : 0
        let of: UInt32 = overflow ? 1 : 0
        flagAux = cf << 31 | (cf ^ of) << 30
    }

    // Shifts and rotates. The count is masked to five bits by the callers; a count of zero changes
    // neither the operand nor the flags. OF for counts other than 1 is undefined: what the processors
    // at hand do is to compute it as for the last single step.

    @inlinable @inline(__always)
    public func shiftLeft<T: Word>(_ a: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let wide = UInt64(truncatingIfNeeded: a) << UInt64(count)
        let result = T(truncatingIfNeeded: wide)
        let cf = wide >> UInt64(T.bitWidth) & 1 != 0
        let top = result >> T(T.bitWidth - 1) != 0
        setFlags(result: result, carry: cf, overflow: top != cf)
        return result
    }

    @inlinable @inline(__always)
    public func shiftRight<T: Word>(_ a: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let wide = UInt64(truncatingIfNeeded: a)
        let result = T(truncatingIfNeeded: wide >> UInt64(count))
        let cf = wide >> UInt64(count - 1) & 1 != 0
        // OF is the top bit of the operand of the last single step.
        let last = wide >> UInt64(count - 1)
        let top = last >> UInt64(T.bitWidth - 1) & 1 != 0
        setFlags(result: result, carry: cf, overflow: top)
        return result
    }

    @inlinable @inline(__always)
    public func shiftArithmeticRight<T: Word>(_ a: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let wide = Int64(Int32(bitPattern: CPU.extended(a)))
        let result = T(truncatingIfNeeded: wide >> Int64(count))
        let cf = wide >> Int64(count - 1) & 1 != 0
        setFlags(result: result, carry: cf, overflow: false)
        return result
    }

    @inlinable
    public func rotateLeft<T: Word>(_ a: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let n = T(truncatingIfNeeded: count) & T(T.bitWidth - 1)
        let result = n == 0 ? a : a << n | a >> (T(T.bitWidth) - n)
        setRotateFlags(carry: result & 1 != 0, overflow: (result >> T(T.bitWidth - 1) ^ result) & 1 != 0)
        return result
    }

    @inlinable
    public func rotateRight<T: Word>(_ a: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let n = T(truncatingIfNeeded: count) & T(T.bitWidth - 1)
        let result = n == 0 ? a : a >> n | a << (T(T.bitWidth) - n)
        let top = result >> T(T.bitWidth - 1) & 1
        let next = result >> T(T.bitWidth - 2) & 1
        setRotateFlags(carry: top != 0, overflow: top != next)
        return result
    }

    /// Through-carry rotates work on one bit more than the operand has.
    @inlinable
    public func rotateCarryLeft<T: Word>(_ a: T, _ count: UInt32) -> T {
        let width = UInt64(T.bitWidth + 1)
        let n = UInt64(count) % width
        guard n != 0 else { return a }
        let wide = UInt64(truncatingIfNeeded: a) | (carry ? 1 << UInt64(T.bitWidth) : 0)
        let turned = wide << n | wide >> (width - n)
        let result = T(truncatingIfNeeded: turned)
        let cf = turned >> UInt64(T.bitWidth) & 1 != 0
        setRotateFlags(carry: cf, overflow: (result >> T(T.bitWidth - 1) != 0) != cf)
        return result
    }

    @inlinable
    public func rotateCarryRight<T: Word>(_ a: T, _ count: UInt32) -> T {
        let width = UInt64(T.bitWidth + 1)
        let n = UInt64(count) % width
        guard n != 0 else { return a }
        let wide = UInt64(truncatingIfNeeded: a) | (carry ? 1 << UInt64(T.bitWidth) : 0)
        let turned = wide >> n | wide << (width - n)
        let result = T(truncatingIfNeeded: turned)
        let top = result >> T(T.bitWidth - 1) & 1
        let next = result >> T(T.bitWidth - 2) & 1
        setRotateFlags(carry: turned >> UInt64(T.bitWidth) & 1 != 0, overflow: top != next)
        return result
    }

    /// Rotates leave SF, ZF, AF and PF alone.
    @inlinable @inline(__always)
    func setRotateFlags(carry: Bool, overflow: Bool) {
        let cf: UInt32 = carry ? 1 : 0
        let of: UInt32 = overflow ? 1 : 0
        flagAux = flagAux & 0x3FFF_FFFF | cf << 31 | (cf ^ of) << 30
    }

    /// SHLD and SHRD. Counts above the operand size (16-bit only) are undefined; the processors at
    /// hand go on with the second operand once more.
    @inlinable
    public func shiftLeftDouble<T: Word>(_ a: T, _ b: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let width = UInt64(T.bitWidth)
        var wide = UInt64(truncatingIfNeeded: a) << width | UInt64(truncatingIfNeeded: b)
        if T.bitWidth == 16 { wide = wide << 16 | UInt64(truncatingIfNeeded: b) }
        let total = T.bitWidth == 16 ? UInt64(48) : 64
        let result = T(truncatingIfNeeded: wide >> (total - width - UInt64(count)))
        let cf = wide >> (total - UInt64(count)) & 1 != 0
        let before = UInt64(
            truncatingIfNeeded: count == 1
                ? a : T(truncatingIfNeeded: wide >> (total - width - UInt64(count) + 1)))
        let changed = (UInt64(truncatingIfNeeded: result) ^ before) >> (width - 1) & 1 != 0
        setFlags(result: result, carry: cf, overflow: changed)
        return result
    }

    @inlinable
    public func shiftRightDouble<T: Word>(_ a: T, _ b: T, _ count: UInt32) -> T {
        guard count != 0 else { return a }
        let width = UInt64(T.bitWidth)
        var wide = UInt64(truncatingIfNeeded: b) << width | UInt64(truncatingIfNeeded: a)
        if T.bitWidth == 16 { wide |= UInt64(truncatingIfNeeded: b) << 32 }
        let result = T(truncatingIfNeeded: wide >> UInt64(count))
        let cf = wide >> UInt64(count - 1) & 1 != 0
        let before = T(truncatingIfNeeded: wide >> UInt64(count - 1))
        setFlags(result: result, carry: cf, overflow: (result ^ before) >> T(T.bitWidth - 1) != 0)
        return result
    }

    // Multiplication. SF, ZF, AF and PF are undefined; they follow the low half of the product.

    @inlinable @inline(__always)
    public func multiplySigned<T: Word>(_ a: T, _ b: T) -> T {
        let product = Int64(Int32(bitPattern: CPU.extended(a))) * Int64(Int32(bitPattern: CPU.extended(b)))
        let result = T(truncatingIfNeeded: product)
        let overflow = product != Int64(Int32(bitPattern: CPU.extended(result)))
        setFlags(result: result, carry: overflow, overflow: overflow)
        return result
    }
}

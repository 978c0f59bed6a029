// SPDX-License-Identifier: Apache-2.0
//
// Small integer helpers for registers that a guest may read and write in any width: they are what
// all buses and register files of this layer have in common.

/// Helpers for accesses of 1, 2, 4 or 8 bytes.
enum Access {
    /// What a read of nothing gives: all ones in `width` bytes (0…8), zero above.
    static func ones(width: Int) -> UInt64 {
        width >= 8 ? .max : (1 << UInt64(max(0, width) * 8)) - 1
    }

    /// Byte `index` (0…7) of `value`.
    static func byte(_ index: Int, of value: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
    }
}

extension [UInt8] {
    /// The little-endian integer of `width` bytes (at most 8) at `offset`; bytes past the end are ones.
    func littleEndian(at offset: Int, width: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<Swift.min(width, 8) {
            let byte = indices.contains(offset + index) ? self[offset + index] : 0xFF
            value |= UInt64(byte) << UInt64(index * 8)
        }
        return value
    }

    /// Stores the low `width` bytes (at most 8) of `value` at `offset`; bytes past the end are dropped.
    mutating func setLittleEndian(_ value: UInt64, at offset: Int, width: Int) {
        for index in 0..<Swift.min(width, 8) where indices.contains(offset + index) {
            self[offset + index] = Access.byte(index, of: value)
        }
    }
}

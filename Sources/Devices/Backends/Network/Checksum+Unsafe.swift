// SPDX-License-Identifier: Apache-2.0
//
// The Internet checksum (RFC 1071).

enum Checksum {
    /// The ones' complement sum of `bytes` in `range` as big-endian words, added to `start`; not folded. A last odd
    /// byte counts as the high half of a word.
    static func sum(_ bytes: [UInt8], _ range: Range<Int>, from start: UInt64 = 0) -> UInt64 {
        let range = range.clamped(to: 0..<bytes.count)
        var (low, carries) = (UInt64(0), UInt64(0))
        // SAFETY: `at` stays below the clamped end by the width of each load.
        bytes.withUnsafeBytes { buffer in
            var at = range.lowerBound
            // Eight bytes at a time, in the host's order: a sum of swapped words is the swapped sum.
            while at + 8 <= range.upperBound {
                let word = buffer.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                let (sum, overflow) = low.addingReportingOverflow(word)
                low = sum
                carries &+= overflow ? 1 : 0
                at += 8
            }
            var rest: UInt64 = 0
            for index in at..<range.upperBound { rest |= UInt64(buffer[index]) << UInt64(8 * (index - at)) }
            let (sum, overflow) = low.addingReportingOverflow(rest)
            low = sum
            carries &+= overflow ? 1 : 0
        }
        let halves = (low >> 32) + (low & 0xFFFF_FFFF) + carries
        return start &+ UInt64(fold(halves).byteSwapped)
    }

    /// Folded into 16 bits, not inverted.
    static func fold(_ sum: UInt64) -> UInt16 {
        var rest = sum
        while rest > 0xFFFF { rest = rest >> 16 &+ rest & 0xFFFF }
        return UInt16(rest)
    }
}

extension [UInt8] {
    func bigEndian16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

    mutating func setBigEndian16(_ value: UInt16, at offset: Int) {
        self[offset] = UInt8(value >> 8)
        self[offset + 1] = UInt8(value & 0xFF)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The Internet checksum (RFC 1071).

enum Checksum {
    /// The ones' complement sum of `bytes` in `range` as big-endian words, added to `start`; not folded.
    static func sum(_ bytes: [UInt8], _ range: Range<Int>, from start: UInt64 = 0) -> UInt64 {
        var total = start
        var at = range.lowerBound
        let end = min(range.upperBound, bytes.count)
        while at + 1 < end {
            total &+= UInt64(bytes[at]) << 8 | UInt64(bytes[at + 1])
            at += 2
        }
        if at < end { total &+= UInt64(bytes[at]) << 8 }
        return total
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

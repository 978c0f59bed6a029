// SPDX-License-Identifier: Apache-2.0
//
// Searching a file for a byte string, piece by piece, so that a big kernel needs little memory.

extension InputFile {
    /// How much of a file is looked at in one go, in bytes.
    private static let pieceSize: UInt64 = 1 << 18

    /// Calls `body` with pieces of `[range)`, each with its offset in the file, until it returns a
    /// result other than nil. Neighbouring pieces overlap by `overlap` bytes, so that what is not
    /// longer than `overlap + 1` bytes is whole in one of them. Throws when the file cannot be read.
    public func firstResult<R>(
        in range: Range<UInt64>, overlap: UInt64,
        _ body: (_ bytes: [UInt8], _ offset: UInt64) throws(LguestError) -> R?
    ) throws(LguestError) -> R? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = min(Self.pieceSize + overlap, range.upperBound - offset)
            if let result = try body(try bytes(offset, count: count), offset) { return result }
            offset += Self.pieceSize
        }
        return nil
    }

    /// Offset of the first occurrence of `pattern` (not empty) that lies inside `range`, or nil.
    public func firstOffset(of pattern: [UInt8], in range: Range<UInt64>) throws(LguestError) -> UInt64? {
        guard !pattern.isEmpty else { return nil }
        return try firstResult(in: range, overlap: UInt64(pattern.count - 1)) { bytes, offset in
            bytes.firstIndex(of: pattern).map { offset + UInt64($0) }
        }
    }
}

extension [UInt8] {
    /// The little-endian number of the width of `T` at `offset`, or nil when it is not all inside.
    public func littleEndian<T: FixedWidthInteger & UnsignedInteger>(
        at offset: Int, as type: T.Type = T.self
    ) -> T? {
        let width = T.bitWidth / 8
        guard offset >= 0, offset <= count, width <= count - offset else { return nil }
        var value: T = 0
        for index in (offset..<offset + width).reversed() {
            value = value << 8 | T(self[index])
        }
        return value
    }
}

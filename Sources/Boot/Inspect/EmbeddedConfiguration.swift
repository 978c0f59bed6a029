// SPDX-License-Identifier: Apache-2.0
//
// The configuration that a kernel with CONFIG_IKCONFIG carries: a gzip file between two marks.

import Support

enum EmbeddedConfiguration {
    private static let start = Array("IKCFG_ST".utf8)
    private static let end = Array("IKCFG_ED".utf8)
    /// No configuration has more, packed or not, in bytes.
    private static let limit: UInt64 = 1 << 20

    /// Its lines; nil when there is none, or none that makes sense.
    static func lines(in elf: ELF32File) throws(LguestError) -> [String]? {
        for segment in elf.loadSegments {
            if let lines = try lines(in: elf.file, segment.fileRange) { return lines }
        }
        return nil
    }

    /// The same in the bytes of `file` at `range`.
    static func lines(in file: InputFile, _ range: Range<UInt64>) throws(LguestError) -> [String]? {
        guard let mark = try file.firstOffset(of: start, in: range) else { return nil }
        let first = mark + UInt64(start.count)
        let area = first..<max(first, min(range.upperBound, first + limit))
        guard let last = try file.firstOffset(of: end, in: area), last > first + 18 else { return nil }
        let packed = try file.bytes(first, count: last - first)
        return Decompressor.unpackGzip(packed, limit: Int(limit))?.split(separator: 10).map {
            String(decoding: $0, as: UTF8.self).asOneLine
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The kernel inside a bzImage of Linux before 2.6.26: no ELF file, but the bytes as they lie in memory, packed with
// gzip, in a place that no header names. Where it belongs only its own unpacker knows, which therefore starts it; here
// it is looked at, to know what it is.

import Support

enum OldPayload {
    /// The first protocol whose headers name the packed kernel (Linux 2.6.26).
    private static let named: UInt16 = 0x208

    /// The unpacked bytes; nil when `header` is of a later kernel, or nothing is found. Throws when the file cannot be
    /// read.
    static func unpack(_ header: SetupHeader, in file: InputFile) throws(LguestError) -> InputFile? {
        guard header.version < named else { return nil }
        var area = header.payload
        while let start = try file.firstOffset(of: PayloadFormat.gzip.magic, in: area) {
            // A word before it is the packed length.
            if start - header.payload.lowerBound >= 4,
                let count: UInt32 = try file.bytes(start - 4, count: 4).littleEndian(at: 0),
                let bytes = try unpack(start, UInt64(count), in: file)
            {
                return InputFile(name: file.name, bytes: bytes)
            }
            area = (start + 1)..<area.upperBound
        }
        return nil
    }

    private static func unpack(
        _ start: UInt64, _ count: UInt64, in file: InputFile
    ) throws(LguestError) -> [UInt8]? {
        guard count > 18, file.contains(start, count: count) else { return nil }
        let bytes = Decompressor.unpackGzip(try file.bytes(start, count: count), limit: Payload.limit)
        return bytes?.isEmpty == true ? nil : bytes
    }
}

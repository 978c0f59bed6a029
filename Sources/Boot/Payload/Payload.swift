// SPDX-License-Identifier: Apache-2.0
//
// The kernel inside a bzImage, unpacked on the host: an ELF file like a vmlinux without its symbols, so that
// everything about it is known before it starts. It runs where it was linked to run, so the relocations
// that follow it in the packed data are not needed.

import Support

enum Payload {
    /// More than any 32-bit kernel unpacks to, in bytes.
    static let limit = 256 << 20

    /// How `file`'s payload is packed, and where it is; nil where no format is recognised.
    static func find(
        _ header: SetupHeader, in file: InputFile
    ) throws(LguestError) -> (format: PayloadFormat, range: Range<UInt64>)? {
        guard let range = header.packedKernel, file.contains(range.lowerBound, count: 16) else { return nil }
        let magic = try file.bytes(range.lowerBound, count: 16)
        return PayloadFormat(magic).map { ($0, range) }
    }

    /// The unpacked kernel as a file; nil when it is not packed in a way that we know, or is no ELF file
    /// (Linux before 2.6.26): then only its own unpacker can start it. Throws `.badInput` for damaged data.
    static func unpack(
        _ header: SetupHeader, in file: InputFile
    ) throws(LguestError) -> (file: InputFile, format: PayloadFormat)? {
        guard let (format, range) = try find(header, in: file) else { return nil }
        let packed = try file.bytes(range.lowerBound, count: range.upperBound - range.lowerBound)
        // The build appends the unpacked size in four bytes (gzip has it there by itself).
        let size: UInt32 = packed.littleEndian(at: packed.count - 4) ?? 0
        guard size > 0, size <= limit else {
            throw damaged(file, format, "it announces \(UInt64(size).asByteCount)")
        }
        let content = packed.count > 4 ? Array(packed.dropLast(format == .gzip ? 0 : 4)) : []
        guard let bytes = Decompressor.unpack(content, format, size: Int(size)) else {
            throw damaged(file, format, "its contents cannot be unpacked")
        }
        guard bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46]) else { return nil }
        return (InputFile(name: file.name, bytes: bytes), format)
    }

    private static func damaged(_ file: InputFile, _ format: PayloadFormat, _ what: String) -> LguestError {
        LguestError(
            .badInput, "\(file.name): damaged bzImage (packed with \(format.rawValue)): \(what)",
            hint: "--guest-decompress leaves the unpacking to the kernel itself")
    }
}

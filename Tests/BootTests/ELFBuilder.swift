// SPDX-License-Identifier: Apache-2.0
//
// Makes ELF32 kernels for the tests, right or wrong ones, in memory.

import Support

/// An ELF32 file under construction. Every field of its header can be set to something hostile.
struct ELFBuilder {
    struct Segment {
        var type: UInt32 = 1
        var virtualAddress: UInt32
        var physicalAddress: UInt32
        var bytes: [UInt8]
        /// Nil means: as many as there are bytes.
        var memorySize: UInt32?
        /// Nil means: where the builder has put the bytes, and as many as there are.
        var offset: UInt32?
        var fileSize: UInt32?
    }

    struct Symbol {
        var name: String
        var value: UInt32
        var size: UInt32 = 0
        /// `st_info`: binding << 4 | type.
        var info: UInt8 = 0x12
        var section: UInt16 = 1
    }

    var fileClass: UInt8 = 1
    var byteOrder: UInt8 = 1
    var type: UInt16 = 2
    var machine: UInt16 = 3
    var entry: UInt32 = 0x10_0000
    var segments: [Segment] = []
    var symbols: [Symbol] = []
    var programHeaderSize: UInt16 = 32
    var programHeaderOffset: UInt32 = 52
    var programHeaderCount: UInt16?
    var sectionHeaderOffset: UInt32?

    /// `mov $1,%eax; mov $…,%ebx; int $0x1f`, as kernels since 2.6.35 begin.
    static let stub: [UInt8] = [0xB8, 1, 0, 0, 0, 0xBB, 0x34, 0x12, 0, 0, 0xCD, 0x1F]

    /// A small right kernel at 1 MiB, linked at 0xC0000000 + 1 MiB: stub, banner, 4 KiB of BSS.
    static var kernel: ELFBuilder {
        var builder = ELFBuilder()
        let banner = Array("Linux version 4.4.178-test (a@b) #1".utf8)
        let text = stub + [UInt8](repeating: 0x90, count: 100) + banner + [0]
        builder.segments = [
            Segment(virtualAddress: 0xC010_0000, physicalAddress: 0x10_0000, bytes: text),
            Segment(
                virtualAddress: 0xC010_1000, physicalAddress: 0x10_1000, bytes: [1, 2, 3, 4],
                memorySize: 0x1004),
        ]
        return builder
    }

    /// The file.
    func bytes() -> [UInt8] {
        var payload: [UInt8] = []
        let payloadStart = 52 + 32 * segments.count
        var headers: [UInt8] = []
        for segment in segments {
            let size = UInt32(segment.bytes.count)
            headers += words([
                segment.type, segment.offset ?? UInt32(payloadStart + payload.count), segment.virtualAddress,
                segment.physicalAddress, segment.fileSize ?? size, segment.memorySize ?? size, 7, 4096,
            ])
            payload += segment.bytes
        }
        let tables = symbolTables(at: payloadStart + payload.count)
        let sectionOffset = tables.bytes.isEmpty ? 0 : payloadStart + payload.count + tables.bytes.count
        var header: [UInt8] =
            [0x7F, 0x45, 0x4C, 0x46, fileClass, byteOrder, 1] + [UInt8](repeating: 0, count: 9)
        header += halves([type, machine]) + words([1, entry, programHeaderOffset])
        header += words([sectionHeaderOffset ?? UInt32(sectionOffset), 0])
        header += halves([
            52, programHeaderSize, programHeaderCount ?? UInt16(segments.count), 40,
            UInt16(tables.headers.count / 40), 0,
        ])
        return header + headers + payload + tables.bytes + tables.headers
    }

    var file: InputFile { InputFile(name: "vmlinux", bytes: bytes()) }

    private func symbolTables(at start: Int) -> (bytes: [UInt8], headers: [UInt8]) {
        guard !symbols.isEmpty else { return ([], []) }
        var names: [UInt8] = [0]
        var records = [UInt8](repeating: 0, count: 16)
        for symbol in symbols {
            records += words([UInt32(names.count), symbol.value, symbol.size])
            records += [symbol.info, 0] + halves([symbol.section])
            names += Array(symbol.name.utf8) + [0]
        }
        let table = section(type: 2, offset: start, size: records.count, link: 2, entrySize: 16)
        let strings = section(
            type: 3, offset: start + records.count, size: names.count, link: 0, entrySize: 0)
        return (records + names, [UInt8](repeating: 0, count: 40) + table + strings)
    }

    private func section(type: UInt32, offset: Int, size: Int, link: UInt32, entrySize: UInt32) -> [UInt8] {
        words([0, type, 0, 0, UInt32(offset), UInt32(size), link, 0, 4, entrySize])
    }
}

/// Little-endian bytes.
func words(_ values: [UInt32]) -> [UInt8] {
    values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
}

/// Little-endian bytes.
func halves(_ values: [UInt16]) -> [UInt8] {
    values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
}

extension [UInt8] {
    /// Overwrites the bytes from `offset` on.
    mutating func patch(_ offset: Int, _ bytes: [UInt8]) {
        replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}

/// The message of the error that `body` throws, or "" when it throws none.
func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return ""
    } catch let error as LguestError {
        return error.description
    } catch {
        return "not an LguestError: \(error)"
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The ELF notes named "Xen", by which a kernel says how a hypervisor may start it (Xen: public/elfnote.h).

import Support

struct XenNotes {
    /// XEN_ELFNOTE_ENTRY: a Xen PV kernel.
    static let entry: UInt32 = 1
    /// XEN_ELFNOTE_PHYS32_ENTRY: a PVH kernel; the note holds its entry point.
    static let pvhEntry: UInt32 = 18

    /// Contents by type; of several the last.
    private let contents: [UInt32: [UInt8]]

    init(_ elf: ELF32File) throws(LguestError) {
        var found: [UInt32: [UInt8]] = [:]
        for header in elf.programHeaders where header.type == 4 {
            let count = UInt64(min(header.fileSize, 1 << 16))
            guard elf.file.contains(UInt64(header.offset), count: count) else { continue }
            let bytes = try elf.file.bytes(UInt64(header.offset), count: count)
            var at = 0
            while let name: UInt32 = bytes.littleEndian(at: at),
                let size: UInt32 = bytes.littleEndian(at: at + 4),
                let type: UInt32 = bytes.littleEndian(at: at + 8), name < 1 << 16, size < 1 << 16
            {
                let start = at + 12 + (Int(name) + 3) & ~3
                if bytes[(at + 12)...].starts(with: Array("Xen\0".utf8)), start + Int(size) <= bytes.count {
                    found[type] = Array(bytes[start..<start + Int(size)])
                }
                at = start + (Int(size) + 3) & ~3
            }
        }
        contents = found
    }

    func has(_ type: UInt32) -> Bool { contents[type] != nil }

    /// Where a PVH kernel is entered (GPA), or nil.
    var physicalEntry: UInt32? {
        guard let bytes = contents[XenNotes.pvhEntry] else { return nil }
        // A 64-bit kernel writes 8 bytes, of which the upper 4 are zero.
        guard bytes.dropFirst(4).allSatisfy({ $0 == 0 }) else { return nil }
        return bytes.littleEndian(at: 0)
    }
}

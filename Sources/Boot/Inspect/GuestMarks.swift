// SPDX-License-Identifier: Apache-2.0
//
// How a kernel shows which hypervisors it knows: ELF notes of Xen and PVH (Xen: public/elfnote.h), and the
// names that its code prints or compares with.

import Support

enum GuestMarks {
    /// ELF note types in notes named "Xen".
    private enum XenNote {
        static let entry: UInt32 = 1
        static let pvhEntry: UInt32 = 18
    }

    /// Bytes of the kernel that only code for that hypervisor has.
    private static let texts: [(name: String, text: String)] = [
        ("KVM", "KVMKVMKVM"), ("PVM", "PVM_HYPERVISOR"),
    ]

    static func interfaces(
        in elf: ELF32File, _ kernel: KernelImage
    ) throws(LguestError) -> [String] {
        var result: [String] = []
        if kernel.lguestSupport != .none, kernel.lguestSupport != .unknown { result.append("lguest") }
        let notes = try xenNotes(elf)
        if notes.contains(XenNote.entry) { result.append("Xen PV") }
        if notes.contains(XenNote.pvhEntry) { result.append("PVH") }
        for (name, text) in texts {
            let pattern = Array(text.utf8)
            for segment in elf.loadSegments
            where try elf.file.firstOffset(of: pattern, in: segment.fileRange) != nil {
                result.append(name)
                break
            }
        }
        return result
    }

    /// The same for a kernel whose headers are not read: notes are found by their type and name.
    static func interfaces(inBytesOf file: InputFile) throws(LguestError) -> [String] {
        let name = Array("Xen\0".utf8)
        let notes = [("Xen PV", XenNote.entry), ("PVH", XenNote.pvhEntry)].map { mark, type in
            (mark, (0..<4).map { UInt8(truncatingIfNeeded: type >> (8 * $0)) } + name)
        }
        var result: [String] = []
        for (mark, pattern) in notes + texts.map({ ($0.name, Array($0.text.utf8)) })
        where try file.firstOffset(of: pattern, in: 0..<file.size) != nil {
            result.append(mark)
        }
        return result
    }

    /// The types of all notes named "Xen".
    private static func xenNotes(_ elf: ELF32File) throws(LguestError) -> Set<UInt32> {
        var types: Set<UInt32> = []
        for header in elf.programHeaders where header.type == 4 {
            let count = UInt64(min(header.fileSize, 1 << 16))
            guard elf.file.contains(UInt64(header.offset), count: count) else { continue }
            let bytes = try elf.file.bytes(UInt64(header.offset), count: count)
            var at = 0
            while let name: UInt32 = bytes.littleEndian(at: at),
                let content: UInt32 = bytes.littleEndian(at: at + 4),
                let type: UInt32 = bytes.littleEndian(at: at + 8), name < 1 << 16, content < 1 << 16
            {
                if bytes[(at + 12)...].starts(with: Array("Xen\0".utf8)) { types.insert(type) }
                at += 12 + (Int(name) + 3) & ~3
                at += (Int(content) + 3) & ~3
            }
        }
        return types
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// How a kernel shows which hypervisors it knows: ELF notes of Xen and PVH, and the names that its code prints
// or compares with.

import Support

enum GuestMarks {
    /// Bytes of the kernel that only code for that hypervisor has.
    private static let texts: [(name: String, text: String)] = [
        ("KVM", "KVMKVMKVM"), ("PVM", "PVM_HYPERVISOR"),
    ]

    static func interfaces(
        in elf: ELF32File, _ kernel: KernelImage
    ) throws(LguestError) -> [String] {
        var result: [String] = []
        if kernel.lguestSupport != .none, kernel.lguestSupport != .unknown { result.append("lguest") }
        let notes = try XenNotes(elf)
        if notes.has(XenNotes.entry) { result.append("Xen PV") }
        if notes.has(XenNotes.pvhEntry) { result.append("PVH") }
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
        let notes = [("Xen PV", XenNotes.entry), ("PVH", XenNotes.pvhEntry)].map { mark, type in
            (mark, (0..<4).map { UInt8(truncatingIfNeeded: type >> (8 * $0)) } + name)
        }
        var result: [String] = []
        for (mark, pattern) in notes + texts.map({ ($0.name, Array($0.text.utf8)) })
        where try file.firstOffset(of: pattern, in: 0..<file.size) != nil {
            result.append(mark)
        }
        return result
    }
}

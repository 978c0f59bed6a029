// SPDX-License-Identifier: Apache-2.0
//
// What a PVH kernel finds at its start: where its command line, its initrd, the memory map and ACPI's root pointer are
// (Xen: docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h, version 1).

import Support

struct PVHStartInfo {
    static let magic: UInt32 = 0x336E_C578
    private static let version: UInt32 = 1
    private static let headerBytes: UInt32 = 56
    private static let moduleBytes: UInt32 = 32

    var memoryMap: [PCLayout.MemoryRange]
    var commandLine: UInt32
    var rsdp: UInt32?
    var initrd: Range<UInt64>?

    /// The structure for GPA `address`, with the list of modules and the memory map behind it.
    func bytes(at address: UInt32) -> [UInt8] {
        let modules = address + Self.headerBytes
        let map = modules + Self.moduleBytes
        var page = [UInt8](repeating: 0, count: Int(map - address) + 24 * memoryMap.count)
        page.put(Self.magic, at: 0)
        page.put(Self.version, at: 4)
        page.put((initrd == nil ? 0 : 1) as UInt32, at: 12)
        if let initrd {
            page.put(UInt64(modules), at: 16)
            page.put(initrd.lowerBound, at: Int(Self.headerBytes))
            page.put(initrd.upperBound - initrd.lowerBound, at: Int(Self.headerBytes) + 8)
        }
        page.put(UInt64(commandLine), at: 24)
        page.put(UInt64(rsdp ?? 0), at: 32)
        page.put(UInt64(map), at: 40)
        page.put(UInt32(memoryMap.count), at: 48)
        for (index, range) in memoryMap.enumerated() {
            let at = Int(map - address) + 24 * index
            page.put(range.start, at: at)
            page.put(range.end - range.start, at: at + 8)
            page.put(range.type, at: at + 16)
        }
        return page
    }
}

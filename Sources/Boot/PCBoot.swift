// SPDX-License-Identifier: Apache-2.0
//
// Where the boot data of a PC go: below 640 KiB, where a boot loader puts them and no kernel is.

/// How a kernel is started.
public enum BootProtocol: Equatable, Sendable {
    /// As the original lguest does it (docs: lguest ABI 1).
    case lguest
    /// Linux's 32-bit boot protocol on a PC.
    case pc
    /// The same PC, entered as PVH kernels want it (see `PVHStartInfo`).
    case pvh
}

/// GPAs of the boot data on a PC.
public enum PCLayout {
    public static let parameters: UInt32 = 0x1_0000
    /// The descriptor table that the boot protocol asks for.
    public static let gdt: Range<UInt32> = 0x1_1000..<0x1_1020
    public static let commandLine: UInt32 = 0x2_0000
    /// In place of the parameters for a PVH kernel.
    public static let startInfo: UInt32 = 0x1_2000
    /// From here to 640 KiB nothing is free: where the BIOS keeps its data.
    static let lowMemoryEnd: UInt64 = 0x9_FC00
    /// No memory: the graphics card's, which is not there.
    public static let graphics: Range<UInt64> = 0xA_0000..<0xC_0000
    /// The firmware's: the tables for ACPI.
    public static let firmware: Range<UInt64> = 0xE_0000..<0x10_0000
    static let highMemory: UInt64 = 0x10_0000
    /// No RAM from here to 4 GiB: devices.
    public static let deviceEnd: UInt64 = 0xFEC0_0000

    /// A stretch of guest-physical addresses: 1 RAM, 2 not for use.
    struct MemoryRange: Equatable {
        var start: UInt64
        var end: UInt64
        var type: UInt32
    }

    /// What a BIOS would say, for so many bytes of memory.
    static func memoryMap(_ memoryBytes: UInt64) -> [MemoryRange] {
        [
            MemoryRange(start: 0, end: lowMemoryEnd, type: 1),
            MemoryRange(start: lowMemoryEnd, end: graphics.lowerBound, type: 2),
            MemoryRange(start: firmware.lowerBound, end: firmware.upperBound, type: 2),
            MemoryRange(start: highMemory, end: memoryBytes, type: 1),
        ]
    }

    /// Null, null, flat code (0x10), flat data (0x18).
    static let descriptors: [UInt64] = [0, 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF]
}

extension BootParameters {
    /// The zero page of a PC: a memory map with the holes that a PC has.
    func pcPage(rsdp: UInt32?) -> [UInt8] {
        var page = [UInt8](repeating: 0, count: 4096)
        page.replaceSubrange(
            Int(SetupHeader.start)..<Int(SetupHeader.start) + setupHeader.count, with: setupHeader)
        if let rsdp { page.put(UInt64(rsdp), at: 0x70) }
        let map = PCLayout.memoryMap(memoryBytes)
        page[0x1E8] = UInt8(map.count)
        for (index, entry) in map.enumerated() {
            page.put(entry.start, at: 0x2D0 + 20 * index)
            page.put(entry.end - entry.start, at: 0x2D8 + 20 * index)
            page.put(entry.type, at: 0x2E0 + 20 * index)
        }
        if setupHeader.isEmpty {
            page.put(0x5372_6448 as UInt32, at: 0x202)  // "HdrS"
            page.put(0x020F as UInt16, at: 0x206)
            page[0x211] = 1
            page.put(SetupHeader.alignment, at: 0x230)
        }
        page[0x210] = 0xFF  // type_of_loader: one without a number
        page.put(PCLayout.commandLine, at: 0x228)
        page.put(UInt32(initrd?.lowerBound ?? 0), at: 0x218)
        page.put(UInt32(initrdBytes), at: 0x21C)
        return page
    }
}

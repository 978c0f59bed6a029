// SPDX-License-Identifier: Apache-2.0
//
// The page of facts that a Linux kernel is started with: `struct boot_params`, the "zero page", which
// an lguest guest finds at GPA 0 (docs: lguest ABI 1.2 has the table of fields).

import Support

/// What the zero page tells the kernel.
struct BootParameters {
    /// Bytes of RAM, from GPA 0, without holes.
    let memoryBytes: UInt64
    /// Where the initrd is (GPA, whole pages), or nil.
    let initrd: Range<UInt32>?
    /// The exact size of the initrd, in bytes.
    var initrdBytes: UInt64 = 0
    /// A bzImage's own setup header, from 0x1F1 on; empty for an ELF kernel.
    let setupHeader: [UInt8]

    /// GPA of the zero page.
    static let address: UInt64 = 0
    /// GPA of the command line.
    static let commandLineAddress: UInt32 = 0x1000
    /// Most bytes in a command line: the kernel copies 2048 with the zero byte.
    static let commandLineLimit = 2047

    /// The 4096 bytes of the page.
    func page() -> [UInt8] {
        var page = [UInt8](repeating: 0, count: 4096)
        // The real header first: newer decompressors read init_size and more from it. Never the
        // sentinel at 0x1EF: copied as 0xFF it would make the kernel wipe fields.
        page.replaceSubrange(
            Int(SetupHeader.start)..<Int(SetupHeader.start) + setupHeader.count, with: setupHeader)

        page[0x1E8] = 1  // e820_entries
        page.put(0 as UInt64, at: 0x2D0)
        page.put(memoryBytes, at: 0x2D8)
        page.put(1 as UInt32, at: 0x2E0)  // RAM

        page.put(0x0207 as UInt16, at: 0x206)  // version: from here on the kernel looks at the subarch
        page[0x211] |= 0x40  // loadflags: KEEP_SEGMENTS, or it would load a GDT of its own
        page.put(Self.commandLineAddress, at: 0x228)
        page.put(SetupHeader.alignment, at: 0x230)  // kernel_alignment: 0 would unpack to address 0
        page.put(1 as UInt32, at: 0x23C)  // hardware_subarch: lguest
        page.put(0 as UInt32, at: 0x218)
        page.put(0 as UInt32, at: 0x21C)
        page[0x210] = 0
        if let initrd {
            page[0x210] = 0xFF  // type_of_loader: old kernels ignore the initrd of loader 0
            page.put(initrd.lowerBound, at: 0x218)
            page.put(UInt32(initrd.count), at: 0x21C)
        }
        return page
    }
}

extension [UInt8] {
    /// Stores `value` little-endian at `offset`, which must be inside.
    mutating func put(_ value: some FixedWidthInteger & UnsignedInteger, at offset: Int) {
        var rest = value
        for index in offset..<offset + value.bitWidth / 8 {
            self[index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
    }
}

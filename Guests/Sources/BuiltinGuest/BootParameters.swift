// SPDX-License-Identifier: Apache-2.0
//
// What the loader left for us in the "zero page" at guest-physical 0: how much memory there is, and the
// command line. The offsets are those of the x86 Linux boot protocol.

enum BootParameters {
    private static let page = PhysicalAddress(value: 0)

    static func byte(_ offset: UInt32) -> UInt8 { Memory.read8((page + offset).inKernel) }
    static func half(_ offset: UInt32) -> UInt16 { Memory.read16((page + offset).inKernel) }
    static func word(_ offset: UInt32) -> UInt32 { Memory.read32(page + offset) }

    static var sentinel: UInt8 { byte(0x1EF) }
    static var protocolVersion: UInt16 { half(0x206) }
    static var loadFlags: UInt8 { byte(0x211) }
    static var ramdiskAddress: UInt32 { word(0x218) }
    static var ramdiskSize: UInt32 { word(0x21C) }
    static var commandLineAddress: UInt32 { word(0x228) }
    static var kernelAlignment: UInt32 { word(0x230) }
    /// 1 says "this machine is lguest".
    static var hardwareSubarchitecture: UInt32 { word(0x23C) }

    // The memory map ("e820"): one entry, for lguest memory has no holes.
    static var memoryMapEntries: UInt8 { byte(0x1E8) }
    static var memoryStart: UInt64 { UInt64(word(0x2D0)) | UInt64(word(0x2D4)) << 32 }
    static var memorySize: UInt64 { UInt64(word(0x2D8)) | UInt64(word(0x2DC)) << 32 }
    static var memoryType: UInt32 { word(0x2E0) }

    /// The command line, cut to what a Text holds.
    static var commandLine: Text {
        var line = Text()
        var address = PhysicalAddress(value: commandLineAddress).inKernel
        while line.count < Text.capacity {
            let byte = Memory.read8(address)
            if byte == 0 { break }
            line.append(byte)
            address = address + 1
        }
        return line
    }
}

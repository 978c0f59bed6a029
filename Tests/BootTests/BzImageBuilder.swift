// SPDX-License-Identifier: Apache-2.0
//
// Makes bzImages for the tests.

import Support

struct BzImageBuilder {
    var setupSectors: UInt8 = 2
    var version: UInt16 = 0x20D
    var loadFlags: UInt8 = 1
    var entry: UInt32 = 0x10_0000
    var payload = [UInt8](repeating: 0xAB, count: 4096)
    var xloadFlags: UInt16 = 0
    var relocatable: UInt8 = 1
    var preferredAddress: UInt64 = 0x100_0000
    var initSize: UInt32 = 0x80_0000
    var commandLineSize: UInt32 = 2047
    var initrdLimit: UInt32 = 0x7FFF_FFFF
    var jump: UInt8 = 0x62
    /// In 16-byte units; nil means: as many as the payload has.
    var announcedSize: UInt32?
    /// Bytes of the packed kernel, at the start of the payload; 0: none is named.
    var packedSize: UInt32 = 0
    var release = "3.2.1-bz (x@y) #1"

    func bytes() -> [UInt8] {
        let sectors = setupSectors == 0 ? 4 : Int(setupSectors)
        var setup = [UInt8](repeating: 0, count: (sectors + 1) * 512)
        setup.patch(0x1EF, [0xFF, 0xFF, setupSectors])
        setup.patch(0x1F4, words([announcedSize ?? UInt32(payload.count / 16)]))
        setup.patch(0x1FE, [0x55, 0xAA, 0xEB, jump] + Array("HdrS".utf8) + halves([version]))
        setup.patch(0x20E, halves([0x200]))
        setup.patch(0x211, [loadFlags])
        setup.patch(0x214, words([entry, 0x1111_1111, 0x2222_2222]))
        setup.patch(0x22C, words([initrdLimit, 0x20_0000]) + [relocatable])
        setup.patch(0x236, halves([xloadFlags]) + words([commandLineSize]))
        setup.patch(0x248, words([0, packedSize]))
        setup.patch(0x258, words([UInt32(truncatingIfNeeded: preferredAddress)]))
        setup.patch(0x25C, words([UInt32(truncatingIfNeeded: preferredAddress >> 32), initSize]))
        setup.patch(0x400, Array(release.utf8))
        return setup + payload
    }

    var file: InputFile { InputFile(name: "bzImage", bytes: bytes()) }
}

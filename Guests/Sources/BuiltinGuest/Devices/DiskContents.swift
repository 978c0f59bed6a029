// SPDX-License-Identifier: Apache-2.0
//
// What a sector holds after its n-th write: words made from its number, n and a seed. So a check of a whole
// disk needs four bytes of memory for each sector, and the host can say what must be there.

struct DiskContents {
    /// Version 0 is what the host has put there; every write counts one up. Two more mean:
    static let zeros: UInt32 = 0xFFFF_FFFF
    static let unknown: UInt32 = 0xFFFF_FFFE

    let seed: UInt32

    private func first(_ sector: UInt32, _ version: UInt32) -> UInt32 {
        seed ^ sector &* 0x9E37_79B1 ^ version &* 0x85EB_CA6B
    }

    func fill(_ address: VirtualAddress, sector: UInt32, version: UInt32) {
        var word = first(sector, version)
        for offset in 0..<Disk.sectorBytes / 4 {
            word = word &* 0x0019_660D &+ 0x3C6E_F35F
            Memory.write32(address + offset * 4, word)
        }
    }

    func matches(_ address: VirtualAddress, sector: UInt32, version: UInt32) -> Bool {
        if version == DiskContents.unknown { return true }
        var word = first(sector, version)
        for offset in 0..<Disk.sectorBytes / 4 {
            word = word &* 0x0019_660D &+ 0x3C6E_F35F
            let expected = version == DiskContents.zeros ? 0 : word
            if Memory.read32(address + offset * 4) != expected { return false }
        }
        return true
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Looking at guest memory through the page tables without touching anything: for reports and debuggers.

extension CPU {
    /// The byte at a linear address with supervisor rights, or nil when it is not mapped RAM. Sets no Accessed
    /// bit and fills no table.
    public func peek(_ linear: UInt32) -> UInt8? {
        guard let physical = peekTranslate(linear) else { return nil }
        return try? memory.read(physical, as: UInt8.self)
    }

    /// The physical address behind a linear one, or nil.
    public func peekTranslate(_ linear: UInt32) -> UInt64? {
        guard system.cr0 & ControlBits.pg != 0 else { return UInt64(linear) }
        if system.cr4 & ControlBits.pae != 0 {
            let pointer =
                system.walksTopLevelInMemory
                ? readPhysical64(UInt64(system.cr3 & ~31) + UInt64(linear >> 30) * 8)
                : system.pdpte[Int(linear >> 30)]
            guard pointer & PageEntry.present != 0 else { return nil }
            let middle = readPhysical64(pointer & PageEntry.paeFrame + UInt64(linear >> 21 & 0x1FF) * 8)
            guard middle & PageEntry.present != 0 else { return nil }
            if middle & PageEntry.large != 0 {
                return middle & PageEntry.paeFrame & ~0x1F_FFFF | UInt64(linear & 0x1F_FFFF)
            }
            let leaf = readPhysical64(middle & PageEntry.paeFrame + UInt64(linear >> 12 & 0x1FF) * 8)
            return leaf & PageEntry.present != 0 ? leaf & PageEntry.paeFrame | UInt64(linear & 0xFFF) : nil
        }
        let top = readPhysical32(UInt64(system.cr3 & ~0xFFF) + UInt64(linear >> 22) * 4)
        guard top & 1 != 0 else { return nil }
        if top & 0x80 != 0 && system.cr4 & ControlBits.pse != 0 {
            return UInt64(top & 0xFFC0_0000 | linear & 0x3F_FFFF)
        }
        let leaf = readPhysical32(UInt64(top & 0xFFFF_F000) + UInt64(linear >> 12 & 0x3FF) * 4)
        return leaf & 1 != 0 ? UInt64(leaf & 0xFFFF_F000 | linear & 0xFFF) : nil
    }
}

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
        return peekLeaf(linear)?.address
    }

    /// The entry that maps `linear` to a page of any size, and the physical address behind it; nil where nothing is
    /// mapped.
    func peekLeaf(_ linear: UInt32) -> (entry: UInt64, address: UInt64)? {
        guard let directory = peekDirectory(linear) else { return nil }
        if system.cr4 & ControlBits.pae != 0 {
            if directory & PageEntry.large != 0 {
                return (directory, directory & PageEntry.paeFrame & ~0x1F_FFFF | UInt64(linear & 0x1F_FFFF))
            }
            let leaf = readPhysical64(directory & PageEntry.paeFrame + UInt64(linear >> 12 & 0x1FF) * 8)
            return leaf & PageEntry.present != 0
                ? (leaf, leaf & PageEntry.paeFrame | UInt64(linear & 0xFFF)) : nil
        }
        if directory & PageEntry.large != 0 && system.cr4 & ControlBits.pse != 0 {
            return (directory, directory & 0xFFC0_0000 | UInt64(linear & 0x3F_FFFF))
        }
        let leaf = readPhysical32(directory & 0xFFFF_F000 + UInt64(linear >> 12 & 0x3FF) * 4)
        return leaf & 1 != 0 ? (UInt64(leaf), UInt64(leaf & 0xFFFF_F000 | linear & 0xFFF)) : nil
    }

    /// The page directory's entry for `linear`, or nil where it is not present.
    func peekDirectory(_ linear: UInt32) -> UInt64? {
        let entry: UInt64
        if system.cr4 & ControlBits.pae != 0 {
            let pointer =
                system.walksTopLevelInMemory
                ? readPhysical64(UInt64(system.cr3 & ~31) + UInt64(linear >> 30) * 8)
                : system.pdpte[Int(linear >> 30)]
            guard pointer & PageEntry.present != 0 else { return nil }
            entry = readPhysical64(pointer & PageEntry.paeFrame + UInt64(linear >> 21 & 0x1FF) * 8)
        } else {
            entry = UInt64(readPhysical32(UInt64(system.cr3 & ~0xFFF) + UInt64(linear >> 22) * 4))
        }
        return entry & PageEntry.present != 0 ? entry : nil
    }

    /// Fills the flat tables for the page of `linear` ahead of its use by the kernel, if that changes nothing that the
    /// guest can see: its entry has been used before, and written through where it may be.
    public func fillAhead(_ linear: UInt32) {
        guard system.cr0 & ControlBits.pg != 0, let entry = peekLeaf(linear)?.entry,
            entry & PageEntry.accessed != 0,
            entry & (PageEntry.writable | PageEntry.dirty) != PageEntry.writable
        else { return }
        _ = try? page(linear, .read, user: false)
    }
}

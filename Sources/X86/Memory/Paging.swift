// SPDX-License-Identifier: Apache-2.0
//
// The page-table walk of the 32-bit architecture: none, 2-level and PAE, with large pages,
// Accessed and Dirty bits, write protection and no-execute (Intel SDM volume 3, chapter 4).

/// What an access wants to do with a page.
public enum AccessKind: Sendable {
    case read, write, execute
}

/// Bits of a page-table entry.
enum PageEntry {
    static let present: UInt64 = 1 << 0
    static let writable: UInt64 = 1 << 1
    static let user: UInt64 = 1 << 2
    static let accessed: UInt64 = 1 << 5
    static let dirty: UInt64 = 1 << 6
    static let large: UInt64 = 1 << 7
    static let global: UInt64 = 1 << 8
    static let noExecute: UInt64 = 1 << 63
    /// Physical address bits of a PAE entry: 36, as our CPUID says.
    static let paeFrame: UInt64 = 0x0000_000F_FFFF_F000
    static let paeReserved: UInt64 = 0x7FFF_FFF0_0000_0000
}

/// Bits of CR0 and CR4 that matter here.
public enum ControlBits {
    public static let pe: UInt32 = 1 << 0
    public static let mp: UInt32 = 1 << 1
    public static let em: UInt32 = 1 << 2
    public static let ts: UInt32 = 1 << 3
    public static let et: UInt32 = 1 << 4
    public static let ne: UInt32 = 1 << 5
    public static let wp: UInt32 = 1 << 16
    public static let am: UInt32 = 1 << 18
    public static let pg: UInt32 = 1 << 31
    /// All bits of CR0 that exist; PE MP EM TS ET NE, WP, AM, NW, CD, PG.
    static let cr0: UInt32 = 0xE005_003F
    public static let vme: UInt32 = 1 << 0
    public static let pvi: UInt32 = 1 << 1
    public static let tsd: UInt32 = 1 << 2
    public static let de: UInt32 = 1 << 3
    public static let pse: UInt32 = 1 << 4
    public static let pae: UInt32 = 1 << 5
    public static let mce: UInt32 = 1 << 6
    public static let pge: UInt32 = 1 << 7
    public static let pce: UInt32 = 1 << 8
    public static let osfxsr: UInt32 = 1 << 9
    public static let osxmmexcpt: UInt32 = 1 << 10
    public static let eferNXE: UInt64 = 1 << 11
}

/// Outcome of a walk: where the page is and what may be done with it from now on.
public struct Translation: Equatable, Sendable {
    /// Physical address of the 4 KiB page.
    public var frame: UInt64
    /// User code may reach it.
    public var user: Bool
    /// The writer that asked, or with equal rights, may write without setting Dirty first.
    public var writable: Bool
    /// User code may write it.
    public var userWritable: Bool
    /// Loads of CR3 do not forget it.
    public var isGlobal = false
    /// The entries that say so, with paging on.
    public var path: TablePath?
}

extension CPU {
    /// Translates `linear` for an access, setting Accessed and Dirty as the processor does.
    /// Throws #PF with the architectural error code.
    public func translate(
        _ linear: UInt32, _ access: AccessKind, user: Bool
    ) throws(Fault) -> Translation {
        guard system.cr0 & ControlBits.pg != 0 else {
            return Translation(frame: UInt64(linear & ~0xFFF), user: true, writable: true, userWritable: true)
        }
        return system.cr4 & ControlBits.pae != 0
            ? try walkPAE(linear, access, user) : try walkTwoLevel(linear, access, user)
    }

    private func pageFault(
        _ linear: UInt32, _ access: AccessKind, _ user: Bool, present: Bool, reserved: Bool = false
    ) -> Fault {
        var code: UInt32 = present ? 1 : 0
        if access == .write { code |= 2 }
        if user { code |= 4 }
        if reserved { code |= 8 }
        let noExecute = system.efer & ControlBits.eferNXE != 0 && system.cr4 & ControlBits.pae != 0
        if access == .execute && noExecute { code |= 16 }
        return Fault(vector: Vector.pageFault, errorCode: code, address: linear)
    }

    private func walkTwoLevel(
        _ linear: UInt32, _ access: AccessKind, _ user: Bool
    ) throws(Fault) -> Translation {
        let directory = UInt64(system.cr3 & ~0xFFF) + UInt64(linear >> 22) * 4
        let top = UInt64(readPhysical32(directory))
        guard top & PageEntry.present != 0 else {
            throw pageFault(linear, access, user, present: false)
        }
        if top & PageEntry.large != 0 && system.cr4 & ControlBits.pse != 0 {
            // PSE-36: bits 13–16 are address bits 32–35.
            let frame = top & 0xFFC0_0000 | (top >> 13 & 0xF) << 32 | UInt64(linear & 0x003F_F000)
            // With 36 address bits, bits 17 to 21 are reserved.
            guard top & 0x3E_0000 == 0 else {
                throw pageFault(linear, access, user, present: true, reserved: true)
            }
            var result = try finish(
                linear, access, user, rights: top, leaf: top, at: directory, wide: false, frame)
            result.path = TablePath(directory: top | PageEntry.accessed, entry: nil, entryBytes: 4)
            return result
        }
        let tableEntry = top & 0xFFFF_F000 + UInt64(linear >> 12 & 0x3FF) * 4
        let leaf = UInt64(readPhysical32(tableEntry))
        guard leaf & PageEntry.present != 0 else {
            throw pageFault(linear, access, user, present: false)
        }
        var result = try finish(
            linear, access, user, rights: top & leaf, leaf: leaf, at: tableEntry, wide: false,
            leaf & 0xFFFF_F000)
        result.path = TablePath(directory: top | PageEntry.accessed, entry: tableEntry, entryBytes: 4)
        markAccessed(top, at: directory, wide: false)
        return result
    }

    private func walkPAE(
        _ linear: UInt32, _ access: AccessKind, _ user: Bool
    ) throws(Fault) -> Translation {
        let pointer =
            system.walksTopLevelInMemory
            ? readPhysical64(UInt64(system.cr3 & ~31) + UInt64(linear >> 30) * 8)
            : system.pdpte[Int(linear >> 30)]
        guard pointer & PageEntry.present != 0 else {
            throw pageFault(linear, access, user, present: false)
        }
        let noExecute = system.efer & ControlBits.eferNXE != 0
        let reserved = PageEntry.paeReserved | (noExecute ? 0 : PageEntry.noExecute)
        let directory = pointer & PageEntry.paeFrame + UInt64(linear >> 21 & 0x1FF) * 8
        let middle = readPhysical64(directory)
        guard middle & PageEntry.present != 0 else {
            throw pageFault(linear, access, user, present: false)
        }
        guard middle & reserved == 0 else {
            throw pageFault(linear, access, user, present: true, reserved: true)
        }
        if middle & PageEntry.large != 0 {
            guard middle & 0x1F_E000 == 0 else {
                throw pageFault(linear, access, user, present: true, reserved: true)
            }
            let frame = middle & PageEntry.paeFrame & ~0x1F_FFFF | UInt64(linear & 0x001F_F000)
            var result = try finish(
                linear, access, user, rights: middle, leaf: middle, at: directory, wide: true, frame)
            result.path = TablePath(directory: middle | PageEntry.accessed, entry: nil, entryBytes: 8)
            return result
        }
        let tableEntry = middle & PageEntry.paeFrame + UInt64(linear >> 12 & 0x1FF) * 8
        let leaf = readPhysical64(tableEntry)
        guard leaf & PageEntry.present != 0 else {
            throw pageFault(linear, access, user, present: false)
        }
        guard leaf & reserved == 0 else {
            throw pageFault(linear, access, user, present: true, reserved: true)
        }
        // Rights are and-ed over the levels; no-execute is or-ed.
        let rights = middle & leaf & ~PageEntry.noExecute | (middle | leaf) & PageEntry.noExecute
        var result = try finish(
            linear, access, user, rights: rights, leaf: leaf, at: tableEntry, wide: true,
            leaf & PageEntry.paeFrame)
        result.path = TablePath(directory: middle | PageEntry.accessed, entry: tableEntry, entryBytes: 8)
        markAccessed(middle, at: directory, wide: true)
        return result
    }

    /// Checks the combined rights, sets Accessed and Dirty in the leaf, and says what is allowed.
    private func finish(
        _ linear: UInt32, _ access: AccessKind, _ user: Bool,
        rights: UInt64, leaf: UInt64, at address: UInt64, wide: Bool, _ frame: UInt64
    ) throws(Fault) -> Translation {
        let userPage = rights & PageEntry.user != 0
        let writeBit = rights & PageEntry.writable != 0
        let supervisorWrites = writeBit || system.cr0 & ControlBits.wp == 0
        let mayWrite = user ? writeBit : supervisorWrites
        if user && !userPage || access == .write && !mayWrite
            || access == .execute && rights & PageEntry.noExecute != 0
        {
            throw pageFault(linear, access, user, present: true)
        }
        var updated = leaf | PageEntry.accessed
        if access == .write { updated |= PageEntry.dirty }
        if updated != leaf { writeEntry(updated, at: address, wide: wide) }
        let dirty = updated & PageEntry.dirty != 0
        return Translation(
            frame: frame, user: userPage, writable: mayWrite && dirty,
            userWritable: userPage && writeBit && dirty,
            isGlobal: leaf & PageEntry.global != 0 && system.cr4 & ControlBits.pge != 0)
    }

    private func markAccessed(_ entry: UInt64, at address: UInt64, wide: Bool) {
        if entry & PageEntry.accessed == 0 {
            writeEntry(entry | PageEntry.accessed, at: address, wide: wide)
        }
    }

    private func writeEntry(_ entry: UInt64, at address: UInt64, wide: Bool) {
        if wide {
            writePhysical64(entry, at: address)
        } else {
            writePhysical32(UInt32(truncatingIfNeeded: entry), at: address)
        }
    }

    // Page tables outside RAM read as open bus: all ones, which no walk accepts as an entry of use,
    // and writes to them vanish.
    func readPhysical32(_ address: UInt64) -> UInt32 {
        (try? memory.read(address, as: UInt32.self)) ?? UInt32.max
    }
    func readPhysical64(_ address: UInt64) -> UInt64 {
        (try? memory.read(address, as: UInt64.self)) ?? UInt64.max
    }
    func writePhysical32(_ value: UInt32, at address: UInt64) {
        try? memory.write(value, at: address)
    }
    func writePhysical64(_ value: UInt64, at address: UInt64) {
        try? memory.write(value, at: address)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Whether cached translations are what the page tables say now: a flush of everything has to forget only those that
// are not.

/// Looks at the page tables of the address space that the processor is in.
struct TranslationCheck {
    private let cpu: CPU

    init(_ cpu: CPU) { self.cpu = cpu }

    /// The page directory's entry for a linear address, with Accessed set; nil where it is not present.
    func directory(_ linear: UInt32) -> UInt64? {
        guard cpu.system.cr0 & ControlBits.pg != 0 else { return nil }
        return cpu.peekDirectory(linear).map { $0 | PageEntry.accessed }
    }

    /// Whether a walk would fill what the tables have for `page`, where that is. `isGlobal`: whether it is among those that
    /// loads of CR3 do not forget; nil where that does not depend on its entry.
    func holds(_ page: UInt32, in tables: AddressSpaceTables, isGlobal: Bool?) -> Bool {
        let linear = page << 12
        // A walk for an entry that has not been used since the guest cleared Accessed would show.
        guard cpu.system.cr0 & ControlBits.pg != 0, let entry = cpu.peekLeaf(linear)?.entry,
            entry & PageEntry.accessed != 0,
            let found = try? cpu.translate(linear, .read, user: false),
            cpu.memory.contains(found.frame, length: 4096), isGlobal.map({ $0 == found.isGlobal }) ?? true
        else { return false }
        let index = Int(page & 0xFFFFF)
        let host = UInt(bitPattern: cpu.memory.base) &+ UInt(found.frame)
        // SAFETY: the tables have an entry for each of the 2^20 pages.
        guard tables.kernelRead[index] &+ UInt(linear) == host,
            found.writable || tables.kernelWrite[index] == 0,
            found.userWritable || tables.userWrite[index] == 0, found.user || tables.userRead[index] == 0
        else { return false }
        let isFetched = tables.kernelExecute[index] | tables.userExecute[index] != 0
        return !isFetched || (try? cpu.translate(linear, .execute, user: false)) != nil
    }
}

extension CPU {
    /// Makes the address space of CR3 the current one; see `TranslationTables`.
    public func activateAddressSpace() {
        owner.tables.activate(root: system.cr3, keeping: TranslationCheck(self))
    }

    /// Forgets all cached translations but those that the page tables still say.
    public func flushChangedTranslations() { owner.tables.flushAll(keeping: TranslationCheck(self)) }

    /// The same for those that the current address space does not share.
    public func flushChangedPrivateTranslations() {
        owner.tables.flushPrivate(keeping: TranslationCheck(self))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Page tables. The guest keeps ordinary tables in its own memory and tells us what it changes; the
// processor core walks those tables and caches translations, so all that the calls do is forget
// (docs: lguest ABI chapter 6).

import X86

extension LguestInterface {
    /// NEW_PGTABLE: another address space; the first call ends the 1:1 mode and shows whether the guest uses PAE.
    func newPageTable(_ top: UInt32, _ cpu: CPU) throws(GuestDeath) {
        guard memory.contains(UInt64(top), length: 32) else {
            throw kill("bad page table \(top.hex): NEW_PGTABLE outside guest memory")
        }
        if abi.hasPageTables {
            cpu.system.cr3 = top
            cpu.activateAddressSpace()
            cpu.selectTables()
        } else {
            let low = try readGuest(UInt64(top), as: UInt32.self)
            let high = try readGuest(UInt64(top) + 4, as: UInt32.self)
            // A PAE top entry carries Present alone, and its upper half is zero.
            if low & 0xFFF == 1 && high == 0 { abi.isPAE = true }
            enablePaging(top, cpu)
        }
    }

    func enablePaging(_ top: UInt32, _ cpu: CPU) {
        abi.hasPageTables = true
        cpu.system.cr3 = top
        if abi.isPAE { cpu.system.cr4 |= ControlBits.pae }
        cpu.system.cr0 |= ControlBits.pg
        cpu.owner.tables.setSharedBase(abi.kernelAddress)
        cpu.activateAddressSpace()
        cpu.selectTables()
    }

    func flushTLB(everything: Bool, _ cpu: CPU) {
        if everything { cpu.flushChangedTranslations() } else { cpu.flushChangedPrivateTranslations() }
    }

    /// SET_PTE. The value is not looked at: the guest has stored it already, and announces 0 where it only
    /// means "flush".
    func setPTE(_ top: UInt32, _ address: UInt32, _ cpu: CPU) {
        cpu.owner.tables.flush(first: address >> 12, count: 1, root: top)
    }

    /// SET_PMD: an entry of a middle page of PAE has changed, for whoever has that page under a top entry.
    func setMiddleEntry(_ middle: UInt32, _ index: UInt32, _ cpu: CPU) throws(GuestDeath) {
        guard index < 512 else { throw kill("attempt to set pmd \(index) of 512") }
        let tables = cpu.owner.tables
        for root in tables.roots {
            for n in 0..<UInt32(4) {
                let entry = (try? memory.read(UInt64(root & ~31) + UInt64(n) * 8, as: UInt64.self)) ?? 0
                guard entry & 1 != 0, entry & 0xF_FFFF_F000 == UInt64(middle & ~0xFFF) else { continue }
                tables.flush(first: n << 18 | index << 9, count: 512, root: root)
            }
        }
    }

    /// SET_PGD: a top-level entry has changed.
    func setTopEntry(_ top: UInt32, _ index: UInt32, _ cpu: CPU) throws(GuestDeath) {
        let count: UInt32 = abi.isPAE ? 4 : 1024
        guard index < count else { throw kill("attempt to set pgd \(index) of \(count)") }
        let pages: UInt32 = abi.isPAE ? 1 << 18 : 1 << 10
        cpu.owner.tables.flush(first: index * pages, count: pages, root: top)
    }

    /// Guests up to 3.0 expect the host to have built their first page tables: all of RAM both at
    /// address 0 and at the kernel's base (docs: lguest ABI 1.5). They lie just below the initrd.
    func buildInitialTables(_ cpu: CPU) throws(GuestDeath) -> UInt32 {
        let frames = memory.ramSize >> 12
        let perTable: UInt64 = abi.isPAE ? 512 : 1024
        // PAE: one middle page of 512 tables maps at most 1 GiB.
        let mapped = abi.isPAE ? min(frames, 512 * 512) : min(frames, 1 << 20)
        let tables = (mapped + perTable - 1) / perTable
        let top = services.hostTablesEnd - 0x1000
        let firstTable = top - tables * 0x1000
        let middle = firstTable - 0x1000
        let wide = abi.isPAE
        func put(_ value: UInt64, _ address: UInt64) throws(GuestDeath) {
            let done: Void? =
                wide ? try? memory.write(value, at: address) : try? memory.write(UInt32(value), at: address)
            if done == nil { throw kill("no room for the first page tables below \(UInt32(top).hex)") }
        }
        for page in 0..<mapped { try put(page << 12 | 7, firstTable + page * (wide ? 8 : 4)) }
        let base = UInt64(abi.kernelAddress)
        if wide {
            for n in 0..<tables { try put((firstTable + n * 0x1000) | 7, middle + n * 8) }
            try put(middle | 1, top)
            try put(middle | 1, top + (base >> 30) * 8)
        } else {
            for n in 0..<tables {
                try put((firstTable + n * 0x1000) | 7, top + n * 4)
                if base >> 22 + n < 1024 {
                    try put((firstTable + n * 0x1000) | 7, top + (base >> 22 + n) * 4)
                }
            }
        }
        return UInt32(top)
    }
}

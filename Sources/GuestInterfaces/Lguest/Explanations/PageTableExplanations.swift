// SPDX-License-Identifier: Apache-2.0
//
// The hypercalls about page tables in words.

import Tap

extension LguestExplanations {
    static let pageTables: [Explanation] = [
        Explanation(
            .hypercall, names(.newPageTable), "go on in another address space",
            use: """
                The physical address of a top-level page table. Made on each context switch between processes, and \
                once at the start, where it ends the time in which addresses are physical ones. We forget the \
                translations below the kernel's address; those above it are the same in all tables and stay.
                """,
            native: "A write to CR3, which drops all translations that are not global.",
            others: """
                Xen: MMUEXT_NEW_BASEPTR; the table must be pinned, that is, checked and read-only. PVM: \
                PVM_HC_LOAD_PGTBL, with one table for the kernel and one for the program; KVM has shadow tables for both.
                """),
        Explanation(
            .hypercall, names(.flushTLB), "forget translations",
            use: """
                Argument 0: those of the current process, after several of its entries have changed. Otherwise: \
                everything, after kernel entries have changed. Guests with high memory make it often, for their \
                temporary mappings.
                """,
            native: "Reloading CR3 (the process), or toggling CR4.PGE (everything).",
            others: "Xen: MMUEXT_TLB_FLUSH_LOCAL. PVM: PVM_HC_TLB_FLUSH_CURRENT and PVM_HC_TLB_FLUSH."),
        Explanation(
            .hypercall, names(.setPMD), "a middle-level entry has changed (PAE)",
            use: """
                The physical address of the middle table and the index. Kernels with three-level tables make it when \
                they attach or take away a whole page of entries. The numbers say little about which addresses are \
                meant, so we forget everything.
                """,
            native: "A store into the table, then a flush.",
            others: "Xen: mmu_update or update_va_mapping. PVM: the shadow pages find out at the next flush."),
        Explanation(
            .hypercall, names(.setPTE), "a page-table entry has changed",
            use: """
                Top-level table, linear address and new value. The most frequent call of a busy guest: each page that \
                a program touches for the first time, each copy-on-write, each unmapping ends in one, usually from the \
                ring, several at a time. The guest has stored the entry in its own table already; the call says what \
                to forget. The original lguest copied the value into a shadow table; ours walks the guest's own tables.
                """,
            native: "The store into the table is all; INVLPG follows if the old entry was present.",
            others: """
                Xen PV: the guest may not write its tables; mmu_update or update_va_mapping has the value checked and \
                written, or the write faults and Xen emulates it. PVM: KVM's shadow MMU notices the write, or the flush \
                that follows it.
                """),
        Explanation(
            .hypercall, names(.setPGD), "a top-level entry has changed",
            use: """
                Top-level table and index. Made when a process gets or loses a whole page of entries: at exec, at exit, \
                and when its memory grows into the next 4 MiB (with PAE: 1 GiB).
                """,
            native: "A store into the page directory, and a flush.",
            others: "Xen: mmu_update on a pinned table. PVM: as for any entry, found out by the shadow MMU."),
    ]
}

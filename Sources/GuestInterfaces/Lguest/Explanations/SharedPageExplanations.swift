// SPDX-License-Identifier: Apache-2.0
//
// The fields of `struct lguest_data` in words. Both sides read and write it without locks: there is one processor.

import Tap

extension LguestExplanations {
    static let sharedPage: [Explanation] = [
        field(
            "irq_enabled", "the guest's interrupt flag",
            use: """
                Bit 9 set means that interrupts may come. The kernel disables and enables them by a plain store, \
                thousands of times between two interrupts, at no cost. We clear it when we enter a handler through an \
                interrupt gate. After an `iret` it may hold a whole EFLAGS image: only bit 9 counts.
                """,
            native:
                "EFLAGS.IF with CLI, STI, PUSHF and POPF; in ring 1 CLI and STI fault, and POPF ignores the bit.",
            others:
                "Xen: evtchn_upcall_mask in vcpu_info (inverted). PVM: a bit of event_flags in the shared structure."
        ),
        field(
            "blocked_interrupts", "which interrupts are masked",
            use: """
                One bit for each IRQ, 1 for blocked. It is the guest's interrupt controller: masking a device's \
                interrupt while its handler runs is one store. The timer's bit is set until the clock is set up.
                """,
            native: "The mask register of the 8259, or the mask bits of the I/O APIC.",
            others: "Xen: evtchn_mask in shared_info, one bit per channel. PVM: KVM's emulated APIC."),
        field(
            "cr2", "the address of the last page fault",
            use: """
                Written before a page fault is reflected. The kernel's handler reads it here, because reading CR2 \
                itself is a privileged instruction.
                """,
            native: "CR2, set by the processor.",
            others: "Xen: arch.cr2 in vcpu_info. PVM: cr2 in the shared structure."),
        field(
            "time", "the wall clock",
            use: """
                Seconds and nanoseconds since 1970, written whenever we look for interrupts. It sets the guest's clock \
                at boot and is its clock source as long as the time-stamp counter is not trusted. The guest reads the \
                seconds again to notice a torn read.
                """,
            native: "The CMOS clock at boot, then the TSC, HPET or PM timer.",
            others: "Xen: wc_sec and the time records in shared_info. PVM: kvmclock."),
        field(
            "irq_pending", "an interrupt waits for the guest to enable interrupts",
            use: """
                We set it to 0x200 when an interrupt could not be delivered because irq_enabled was 0. The kernel \
                looks at it after enabling interrupts and makes LHCALL_SEND_INTERRUPTS. Without it, an interrupt would \
                wait until the guest comes to us for another reason.
                """,
            native: "No counterpart: the processor looks at its interrupt pin after each instruction.",
            others: "Xen: evtchn_upcall_pending. PVM: the pending bit of event_flags."),
        field(
            "hcall_status", "which of the 64 ring entries hold a call", more: ["hcalls", "ring"],
            use: """
                A byte each: 0xFF for free, anything else for a queued hypercall in the same place of `hcalls`. The \
                kernel fills entries while it is in a lazy mode, during context switches and batches of page-table \
                changes; we empty the ring at the beginning of the next real call and give the entries back.
                """,
            native: "No counterpart.",
            others:
                "Xen: multicall entries in the guest's own memory, handed over by one hypercall. PVM: none."),
        field(
            "reserve_mem", "address space that the guest leaves alone",
            use: """
                How many bytes at the top the guest must not use, told at LGUEST_INIT. The original kept its switcher \
                there, code that both sides share. Ours needs no room, and says 4 MiB, which every kernel can do.
                """,
            native: "No counterpart: the address space is the kernel's.",
            others:
                "Xen: the top 64 or 168 MiB (32-bit) are Xen's. PVM: the guest's kernel gets a range of its own."
        ),
        field(
            "tsc_khz", "how fast the time-stamp counter runs",
            use: """
                In kHz; 0 if it is not usable as a clock. The guest reads the counter directly in rings 1 and 3. Ours \
                counts nanoseconds, so the value is 1,000,000, and no calibration is needed.
                """,
            native: "Measured against another timer at boot, or told by CPUID leaf 0x15.",
            others: "Xen: a scale factor in the time record. PVM: kvmclock's scale factor."),
        field(
            "pgdir", "the page table that the host built (up to 3.0)",
            use: """
                Those kernels expect to find page tables ready, with all of RAM at address 0 and at the kernel's \
                address. Their physical address is here after LGUEST_INIT; the kernel extends them before it has its \
                own.
                """,
            native: "The kernel's start code builds its first tables itself, with paging still off.",
            others:
                "Xen: start_info.pt_base, tables built by the domain builder. PVM: the guest builds its own."),
        field(
            "noirq_start", "code in which no interrupt may come", more: ["noirq_end"],
            use: """
                Two addresses (up to 4.0). Between them the kernel restores irq_enabled, pops a register and executes \
                `iret`: an interrupt in the middle would find interrupts enabled and a half-undone frame.
                """,
            native: "IRET restores the flag and returns in one instruction.",
            others:
                "Xen: an iret hypercall does both, or the handler repairs the frame. PVM: ERETU and ERETS do both."
        ),
        field(
            "noirq_iret", "the one instruction before which no interrupt may come",
            use: """
                From 4.1 on: the address of the `iret` behind the restoring of irq_enabled. At exactly this EIP we let \
                the `iret` run first.
                """,
            native: "IRET restores the flag and returns in one instruction.",
            others: "Xen: an iret hypercall. PVM: ERETU and ERETS."),
        field(
            "guestid", "the guest's number (2.6.23)",
            use: """
                The network between guests of 2.6.23 made its hardware addresses of it. Written once, when the guest names \
                the page; a guest on its own has number 0.
                """,
            native: "A network card has its address in a memory of its own.",
            others: "Xen: the domain's number. PVM: none."),
        field(
            "kernel_address", "where the kernel's half of the address space begins",
            use: """
                PAGE_OFFSET, usually 0xC0000000. What is mapped from there on is the same in all page tables, so \
                translations for it survive a change of address space.
                """,
            native: "The kernel marks its entries Global for the same effect.",
            others: "Xen and PVM know it by convention."),
        field(
            "syscall_vec", "the vector of system calls",
            use: """
                0x80 for Linux. The original used it to let the processor deliver system calls without a detour \
                through the host.
                """,
            native: "A gate of privilege 3 in the IDT.",
            others:
                "Xen: a trap-table entry for 0x80 that Xen installs as a direct gate. PVM: MSR_LSTAR as usual."
        ),
    ]

    private static func field(
        _ name: String, _ title: String, more: [String] = [], use: String, native: String, others: String
    ) -> Explanation {
        Explanation(
            .sharedPage, [name, "lguest_data.\(name)"] + more, title, use: use, native: native, others: others
        )
    }
}

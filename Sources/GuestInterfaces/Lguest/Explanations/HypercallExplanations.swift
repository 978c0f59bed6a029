// SPDX-License-Identifier: Apache-2.0
//
// The hypercalls in words, for `lguest explain`: calls about the processor and about time. Those about page
// tables are in the file beside this one.

import Tap

/// What the lguest interface has to explain.
public enum LguestExplanations {
    public static let all = entry + processor + pageTables + sharedPage

    /// How a call is named in a trace, in the headers, and by its number.
    static func names(_ call: LguestCall, _ more: String...) -> [String] {
        [call.name, String(call.name.dropFirst("LHCALL_".count)), String(call.rawValue)] + more
    }

    static let entry: [Explanation] = [
        Explanation(
            .hypercall, ["int $0x1f", "0x1f", "31", "hypercall", "vmcall"], "the way into the hypervisor",
            use: """
                The guest kernel puts a number into EAX and arguments into EBX, ECX, EDX and ESI (up to 2.6.29 EDX, \
                EBX, ECX), and executes `int $0x1f`; Linux 2.6.30 to 2.6.34 execute VMCALL instead. It works \
                in ring 1 only: the gate has privilege 1, and a program in ring 3 that tries gets a general \
                protection fault. No call returns anything.
                """,
            native: """
                A kernel in ring 0 asks nobody: each hypercall stands for one or a few privileged instructions. On \
                hardware with virtualization extensions VMCALL leaves the guest on purpose.
                """,
            others: """
                Xen PV's guests call into a page that Xen fills in, which holds `int $0x82` for 32-bit guests and \
                SYSCALL for 64-bit ones. PVM's use SYSCALL from the guest kernel, which its switcher takes apart \
                from the system calls of programs.
                """),
        Explanation(
            .hypercall, names(.flushAsync), "carry out what is queued, and nothing else",
            use: """
                The kernel may leave calls in a ring in the shared page in place of making them. Every real call \
                empties the ring first, so a call that does nothing by itself is a way to say: now. Linux makes it at \
                the end of a batch of page-table changes (leaving lazy MMU mode) and before a context switch is \
                complete.
                """,
            native: "Nothing is queued on real hardware: each store to a page table simply happens.",
            others: """
                Xen has multicalls: a list of hypercalls made by one. PVM has no queue; its shadow pages are brought \
                up to date when the guest flushes its TLB.
                """),
        Explanation(
            .hypercall, names(.lguestInit), "here is the page that we share",
            use: """
                The first call of every guest, from its very first instructions. It gives the physical address of \
                `struct lguest_data`, in which the kernel has put its constants (kernel_address, syscall_vec, \
                noirq_iret) and finds what we tell it (tsc_khz, reserve_mem, the time). lguest recognises which of \
                several layouts it has. A second time ends the guest.
                """,
            native: """
                A native kernel gets what it must know from the boot loader's zero page, ACPI, and CPUID.
                """,
            others: """
                Xen hands its guest a start_info page when it starts, and maps a shared_info page. A PVM guest writes \
                the address of its structure into MSR_PVM_VCPU_STRUCT.
                """),
        Explanation(
            .hypercall, names(.shutdown), "the end, with a reason",
            use: """
                Power-off, restart and panic all come here: the address of a text, and 1 for power-off or 2 for \
                restart. A text other than "Power down" is a panic's message, which lguest prints before it ends with \
                status 1.
                """,
            native: """
                A kernel writes to ACPI registers to switch off, and asks the keyboard controller or the reset port \
                to restart. A panic just stands still.
                """,
            others:
                "Xen: SCHEDOP_shutdown with a reason code. PVM: as under KVM, emulated ACPI or a reset port."),
    ]

    static let processor: [Explanation] = [
        Explanation(
            .hypercall, names(.loadGDT), "take over the whole descriptor table (up to 2.6.30)",
            use: """
                Gives a table of up to 32 descriptors. We keep a copy of our own and change privilege 0 into 1 \
                on the way, so that no selector ever leads to ring 0. Later kernels hand over one entry at a time \
                (LHCALL_LOAD_GDT_ENTRY), which is cheaper for a change of one.
                """,
            native: "LGDT: the processor reads descriptors from memory when a selector is loaded.",
            others: """
                Xen: set_gdt, with pages that Xen makes read-only and checks. PVM keeps the guest's table as data; \
                only a few selectors can be loaded.
                """),
        Explanation(
            .hypercall, names(.loadIDTEntry), "one entry of the interrupt descriptor table",
            use: """
                Vector and both halves of a gate. A kernel sends all 256 when it loads a table, which makes it the \
                most frequent call of an early boot. Entries for NMI, double fault, vector 15 and the hypercall gate \
                stay ours. The type matters: an interrupt gate clears the virtual interrupt flag on entry, a trap gate \
                leaves it.
                """,
            native: "LIDT: the processor reads the gate from memory at each trap.",
            others: """
                Xen: set_trap_table, a list of handlers. PVM has no table at all: MSR_PVM_EVENT_ENTRY names one entry \
                point for events from user mode and, at a fixed distance, one for those from the kernel.
                """),
        Explanation(
            .hypercall, names(.setStack), "the kernel stack for the next trap from ring 3",
            use: """
                Selector, stack pointer and size in pages. The kernel makes it on every context switch, because each \
                task has a kernel stack of its own; it is the surest sign of a switch in a trace. When a program \
                traps, we build the frame on this stack.
                """,
            native: "A store into the TSS (sp0): the processor takes the stack for the new ring from there.",
            others: """
                Xen: stack_switch. PVM: a store into the shared structure, which the switcher reads; no call.
                """),
        Explanation(
            .hypercall, names(.ts), "let the next FPU instruction trap, or not",
            use: """
                Sets or clears the TS flag. Kernels up to 4.9 switch FPU state lazily: they set the flag on a context \
                switch, and the first FPU instruction of the new task raises #NM (vector 7), whose handler loads the \
                task's state and clears the flag.
                """,
            native: "CR0.TS, set by a write to CR0 and cleared by CLTS.",
            others:
                "Xen: fpu_taskswitch. PVM: KVM keeps the state; later kernels switch FPU state eagerly anyway."
        ),
        Explanation(
            .hypercall, names(.loadTLS), "three descriptors for thread-local storage",
            use: """
                The address of the three entries 6 to 8 of the new task, on each context switch between tasks that \
                have any. Programs use them through GS for `errno` and the like. Before the call the kernel clears \
                GS, so that no selector refers to an entry while it changes.
                """,
            native: "Three stores into the GDT.",
            others: "Xen: update_descriptor three times, usually as a multicall. PVM: PVM_HC_LOAD_TLS."),
        Explanation(
            .hypercall, names(.loadGDTEntry), "one entry of the global descriptor table",
            use: """
                Index and both halves. A kernel sends all 32 when it loads its table, and single ones afterwards. \
                Privilege 0 becomes 1. Entries 10, 11, 16 and 31 belong to the host and never take effect.
                """,
            native: "A store into the table in memory.",
            others: "Xen: update_descriptor. PVM: PVM_HC_LOAD_TLS for the entries that may change."),
        Explanation(
            .hypercall, names(.setClockEvent), "ring once, in so many nanoseconds",
            use: """
                Arms a timer that raises IRQ 0 once; 0 cancels it. The kernel's clockevent device makes it each time \
                it knows when it wants to wake up next, so an idle guest makes a few a second and a tickless one \
                fewer.
                """,
            native:
                "The local APIC's timer: a write to its initial-count register, or to the TSC-deadline MSR.",
            others: """
                Xen: VCPUOP_set_singleshot_timer, with an absolute time. PVM: KVM's emulated local APIC, or its \
                paravirtual clock.
                """),
        Explanation(
            .hypercall, names(.halt), "nothing to do until an interrupt comes",
            use: """
                Made by the idle loop. lguest then sleeps in the host until a timer is due or a device has something, \
                so an idle guest costs nothing. An interrupt that ends it is delivered even though the guest's \
                interrupt flag may be clear.
                """,
            native:
                "STI; HLT: the STI takes effect one instruction late, so no interrupt can come in between.",
            others: "Xen: SCHEDOP_block, which enables events atomically. PVM: PVM_HC_IRQ_HALT."),
        Explanation(
            .hypercall, names(.notify), "look at this address (devices up to 3.19)",
            use: """
                An address of the device page, a virtqueue or a text. At a descriptor it means that the driver has \
                written the status; at a queue's page that there are new buffers; anywhere else in RAM there is a text \
                for the early console, 16 characters at a time.
                """,
            native: "A store to a device register: doorbells of real devices are memory-mapped.",
            others:
                "Xen: an event channel to the backend. PVM: an I/O port or memory write that leaves the guest."
        ),
        Explanation(
            .hypercall, ["LHCALL_GET_WALLCLOCK", "GET_WALLCLOCK", "11"], "what time is it? (before 2.6.23)",
            use: """
                Snapshots of the summer of 2007 asked for the seconds since 1970. The release has the time in the shared page \
                instead, so nobody makes this call any more, and it ends a guest like any number that means nothing.
                """,
            native: "The kernel reads the clock with the battery, once at boot.",
            others: "Xen: wc_sec in the shared page. PVM: kvm-clock."),
        Explanation(
            .hypercall, ["LHCALL_BIND_DMA", "BIND_DMA", "12"], "here are buffers for this key (2.6.23)",
            use: """
                Linux 2.6.23 is older than virtio. Its drivers hang an array of buffers on a key, a guest-physical address \
                that stands for a device, with the interrupt that says when one is full.
                """,
            native: "A device is given the address of a ring of descriptors.",
            others: "Xen: grant references in a shared ring, which lguest's I/O was modelled on."),
        Explanation(
            .hypercall, ["LHCALL_SEND_DMA", "SEND_DMA"], "take these buffers to that key (2.6.23)",
            use: """
                The other half: the buffers of one structure are copied to whoever has bound the key, a device here, or \
                another guest then. Number 13; later kernels use that for LHCALL_SET_PMD.
                """,
            native: "A doorbell register, and the device's own access to memory.",
            others: "Xen: a request in the ring, then an event channel."),
        Explanation(
            .hypercall, names(.sendInterrupts), "I enabled interrupts: is anything waiting?",
            use: """
                The kernel's interrupt flag is a word in the shared page, so enabling interrupts is a plain store \
                that we do not see. If one was waiting meanwhile, we have set irq_pending, which the kernel looks at \
                after the store; then it makes this call, and we deliver.
                """,
            native: "STI: the processor takes the interrupt by itself.",
            others: """
                Xen: the guest clears evtchn_upcall_mask, looks at evtchn_upcall_pending, and makes a hypercall if it \
                is set. PVM: PVM_HC_IRQ_WIN after the same look at the shared structure.
                """),
    ]
}

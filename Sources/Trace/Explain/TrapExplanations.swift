// SPDX-License-Identifier: Apache-2.0
//
// Traps and interrupts in words. What the processor does is the same for every guest; what a guest interface adds
// is that the frame is built by us, on the stack that the guest named.

import Tap

public enum TrapExplanations {
    public static let all: [Explanation] = first + second + others

    private static func trap(
        _ vector: Int, _ names: [String], _ title: String, use: String, native: String, others: String? = nil
    ) -> Explanation {
        let number = [String(vector), "trap \(vector)", "0x" + String(vector, radix: 16)]
        return Explanation(
            .trap, names + number, title, use: use, native: native, others: others ?? reflected)
    }

    private static let reflected = """
        Both deliver it as lguest does: the hypervisor gets the trap first and builds a frame for the guest kernel, Xen \
        on the stack of stack_switch at the address of set_trap_table, PVM at its one event entry with the vector in \
        the shared structure.
        """

    private static let first: [Explanation] = [
        trap(
            0, ["divide-error", "#DE"], "division by zero, or a quotient that does not fit",
            use:
                "Reflected. In a program it becomes SIGFPE; in the kernel it is a bug, unless a fix-up is known.",
            native: "A fault: EIP is at the DIV or IDIV, which can be started again."),
        trap(
            1, ["debug", "#DB"], "a breakpoint register or single-stepping",
            use: """
                Reflected. Comes after each instruction while EFLAGS.TF is set (a debugger steps) and for the \
                breakpoints in DR0 to DR3.
                """,
            native: "Fault or trap by cause; DR6 says which."),
        trap(
            2, ["nmi"], "non-maskable interrupt",
            use: "Never delivered to an lguest guest: the vector belongs to the host.",
            native: "Hardware errors, watchdogs, profiling: an interrupt that CLI does not hold back.",
            others: "Xen: a callback that the guest registers. PVM: delivered as an event."),
        trap(
            3, ["breakpoint", "#BP"], "INT3",
            use: "Reflected. Debuggers and kprobes put this one-byte instruction over another.",
            native:
                "A trap through a gate that programs may use (privilege 3); EIP is behind the instruction."),
        trap(
            4, ["overflow", "#OF"], "INTO with the overflow flag set",
            use: "Reflected. Hardly any program has this instruction.",
            native: "A trap; EIP is behind the instruction."),
        trap(
            5, ["bound-range", "#BR"], "BOUND found an index outside its limits",
            use: "Reflected; SIGSEGV for a program.", native: "A fault."),
        trap(
            6, ["invalid-opcode", "#UD"], "bytes that are no instruction",
            use: """
                Reflected. Linux puts UD2 where it finds a bug, so in a kernel it usually means BUG(). VMCALL in ring 3 \
                ends here as well.
                """,
            native: "A fault."),
        trap(
            7, ["device-not-available", "#NM"], "an FPU instruction while TS is set",
            use: """
                Reflected. The kernel loads the task's FPU state and clears the flag (LHCALL_TS): FPU state is switched \
                only for tasks that use it. Kernels from 4.10 on do not do that any more.
                """,
            native: "A fault, by CR0.TS or CR0.EM."),
        trap(
            8, ["double-fault", "#DF"], "a fault while delivering a fault",
            use: """
                Never delivered: when the frame for a trap cannot be built, because the stack is not mapped, the guest \
                is over and lguest says so.
                """,
            native:
                "Goes through a task gate of its own, with a fresh stack; a fault there resets the machine."),
        trap(
            10, ["invalid-tss", "#TS"], "a task-state segment that cannot be used",
            use: "Reflected. An `iret` with a bad stack selector is the usual cause.", native: "A fault."),
    ]

    private static let second: [Explanation] = [
        trap(
            11, ["segment-not-present", "#NP"], "a descriptor that is not present",
            use: "Reflected. Loading a segment register with such a selector raises it.", native: "A fault."),
        trap(
            12, ["stack-fault", "#SS"], "an address outside the stack segment",
            use: "Reflected. A kernel stack that has run over its end, or a bad stack selector.",
            native: "A fault."),
        trap(
            13, ["general-protection", "#GP"], "something that is not allowed",
            use: """
                The catch-all of protection: privileged instructions in ring 1 or 3, bad selectors, `int n` through a \
                gate that the caller may not use. lguest first looks whether the kernel executed an instruction that it \
                carries out for it (IN, OUT, CLI, and before the kernel has a handler also RDMSR and its like); only the \
                rest is reflected. RDMSR of a register that does not exist is expected: Linux has a fix-up for it.
                """,
            native: "A fault. In ring 0 the privileged instructions simply work."),
        trap(
            14, ["page-fault", "#PF", "PAGE_FAULT"], "a page that is not there, or not for you",
            use: """
                The address goes into the shared page's cr2, the reason into the error code: bit 0 for a page that is \
                there but not allowed, bit 1 for a write, bit 2 for a program. The kernel finds the page (a file's, a \
                fresh one, a copy of a shared one), stores the entry, tells us (LHCALL_SET_PTE), and returns: the \
                instruction is started again. Faults that only need Accessed or Dirty set never reach the kernel.
                """,
            native: """
                The processor walks the tables itself, sets CR2 and goes to the handler. With nested paging the \
                hypervisor does not see it at all.
                """,
            others: """
                Xen PV: the fault comes to Xen, which handles writes to page tables and passes on the rest. PVM: every \
                fault comes to KVM, which looks whether its shadow tables are behind before the guest gets it.
                """),
        trap(
            16, ["x87-error", "#MF"], "an unmasked x87 exception",
            use: "Reflected, at the next waiting FPU instruction.", native: "The same, with CR0.NE set."),
        trap(
            17, ["alignment-check", "#AC"], "a misaligned access by a program that wants to know",
            use: "Reflected, when EFLAGS.AC and CR0.AM are set.", native: "A fault in ring 3 only."),
        trap(
            18, ["machine-check", "#MC"], "the hardware is broken",
            use: "Never: our processor has no hardware that could break.",
            native: "An abort with details in MSRs."),
        trap(
            19, ["simd-error", "#XM"], "an unmasked SSE exception",
            use: "Reflected. SIGFPE for a program that wants to know.",
            native: "A fault, with CR4.OSXMMEXCPT set."),
    ]

    private static let others: [Explanation] = [
        Explanation(
            .trap, ["trap", "TRAP", "exception"], "the processor found something that it cannot do",
            use: """
                An exception by its vector. lguest first looks whether it is one that it deals with itself: an instruction                 that it carries out for the kernel. Otherwise the trap is reflected: the frame that a processor would have                 built is built on the guest's kernel stack, and the guest goes on at its handler, in ring 1.
                """,
            native:
                "The processor builds the frame itself, on the stack that the TSS names, and enters ring 0.",
            others: reflected),
        Explanation(
            .trap, ["syscall", "0x80", "128", "int $0x80"], "a program calls its kernel",
            use: """
                The number of the call is in EAX, arguments in EBX, ECX, EDX, ESI, EDI and EBP. The trap is reflected \
                to the kernel in ring 1, on the stack of LHCALL_SET_STACK; the kernel returns by `iret`. A trace shows the \
                call's name, and TO_USER when the kernel goes back.
                """,
            native: """
                The processor enters ring 0 by itself; SYSENTER does it with less work. No hypervisor is \
                involved, also not on hardware with virtualization extensions.
                """,
            others: """
                Xen, 32 bits: a direct gate, so that no hypervisor code runs; 64 bits: Xen gets the SYSCALL and switches \
                page tables for it. PVM: the switcher goes from program to guest kernel without leaving to KVM.
                """),
        Explanation(
            .trap, ["reserved"] + ([9, 15] + Array(20...30)).flatMap { [String($0), "trap \($0)"] },
            "a vector that the processor keeps for itself",
            use: """
                Vectors below 32 belong to the processor. Later ones than the guest's have given some a meaning: 20 virtualization, \
                21 control-flow protection, 28 to 30 AMD's; 9 was the coprocessor's, 15 never had one. Here none of them is \
                raised, except by an INT instruction with that number.
                """,
            native: "Raised where the feature is there and turned on.",
            others: "Xen and PVM reflect what the hardware raises."),
        Explanation(
            .trap,
            ["irq", "interrupt", "IRQ"] + (32...255).filter { $0 != 0x80 }.map(String.init),
            "an interrupt from a device or the timer",
            use: """
                Vector 32 plus the IRQ's number: 0 is the timer, devices count from 1. It is delivered when irq_enabled \
                allows it and blocked_interrupts does not forbid it, at an instruction's end, as a frame on the kernel's \
                stack. There is no acknowledgement and no end-of-interrupt.
                """,
            native:
                "An interrupt controller picks one, the processor takes it between two instructions, software ends it.",
            others: """
                Xen: one upcall for all event channels; the handler looks for the bits. PVM: one event entry, the vector \
                in the shared structure.
                """),
        Explanation(
            .event, ["iret", "TO_USER"], "the kernel goes back to a program",
            use: """
                `iret` to ring 3, at the end of a system call, a fault or an interrupt. In lguest it is the guest's own \
                instruction: ring 1 may return to ring 3 without help. A trace notes it so that one can see how long the \
                kernel took.
                """,
            native: "IRET, SYSEXIT.",
            others:
                "Xen, 32 bits: IRET, too; 64 bits: a hypercall. PVM: ERETU, an instruction that traps to the switcher."
        ),
        Explanation(
            .event, ["idle", "IDLE", "POLL", "halted"], "no guest code runs",
            use: """
                IDLE: the guest has halted, and lguest sleeps until a timer is due or a device wakes it. POLL: lguest \
                looks after the host's side of devices (a key, a frame from the network, a finished disk request) \
                between two slices of guest code.
                """,
            native: "HLT stops the processor until an interrupt."),
        Explanation(
            .event, ["cr", "READ_CR", "WRITE_CR", "LOAD_CR3", "INVLPG", "cr0", "cr2", "cr3", "cr4"],
            "a control register",
            use: """
                CR0 turns paging and protection on, CR2 holds a fault's address, CR3 the page table, CR4 extensions. An \
                lguest kernel asks by hypercall instead, except before its first one; a kernel in ring 0 of our \
                processor uses the registers themselves, and each write to CR3 there is a switch of address spaces.
                """,
            native: "MOV to and from CRn, in ring 0 only.",
            others:
                "Both replace them: Xen by hypercalls and emulation, PVM by hypercalls and its shared structure."
        ),
        Explanation(
            .event, ["msr", "RDMSR", "WRMSR"], "a model-specific register",
            use: """
                Lguest guests have none: RDMSR and WRMSR raise a general protection fault, for which Linux has a fix-up. \
                Before a kernel has a handler for that, lguest answers 0 and ignores writes; the early microcode \
                loader, which killed the original's guests, needs it.
                """,
            native: "RDMSR and WRMSR, in ring 0 only.",
            others: "Xen emulates those that it allows. PVM: PVM_HC_RDMSR and PVM_HC_WRMSR, and emulation."),
        Explanation(
            .event, ["registers", "eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip"],
            "the processor's registers in a report",
            use: """
                As the guest sees them, at the instruction that the report names. In a hypercall, EAX has its number; in \
                a system call, that of the call, and the arguments are in EBX, ECX, EDX, ESI, EDI and EBP. ESP says \
                where the stack is that the report's trace was read from; EBP leads from frame to frame in kernels that \
                were built with frame pointers.
                """,
            native: "The same registers: an lguest kernel computes with them as on any processor.",
            others: "The same; the numbers of calls are in EAX with Xen, in RAX with PVM."),
        Explanation(
            .event, ["eflags", "IF", "IOPL"], "the processor's flags in a report",
            use: """
                An lguest kernel runs with IF set all the time: what it would keep there is in the shared page's \
                irq_enabled. IOPL is 0, so IN, OUT, CLI and STI fault in ring 1, and POPF leaves both as they are.
                """,
            native: "IF holds interrupts back; the kernel in ring 0 changes it by CLI, STI and POPF.",
            others: "Xen: evtchn_upcall_mask in shared_info. PVM: a bit in its shared structure."),
        Explanation(
            .event, ["segments", "cs", "ds", "es", "fs", "gs", "ss"], "the segment registers in a report",
            use: """
                The two lowest bits of CS are the ring: 0x61 is an lguest kernel's code in ring 1, 0x73 a program's in \
                ring 3. The other bits number a descriptor of the table that LHCALL_LOAD_GDT_ENTRY fills. GS (or FS) \
                leads to what belongs to one thread or processor.
                """,
            native: "A kernel's code is in ring 0: Linux has 0x60 in CS there.",
            others: "Xen, 32 bits: ring 1, too; 64 bits and PVM: kernel and programs both in ring 3."),
    ]
}

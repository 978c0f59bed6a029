// SPDX-License-Identifier: Apache-2.0
//
// Ring 3: getting there, getting back, and what programs must not be able to do.
import Machine

enum UserChecks {
    static func run() {
        systemCalls()
        privilege()
        faults()
        flags()
        threadLocal()
        interrupted()
    }

    private static func systemCalls() {
        let exit = UserMode.run(user_exit, 0x1234_5678)
        Check.userResult("user/enters-and-leaves", exit, 0x1234_5678)
        Check.equal("user/system-call-vector", exit.trap.vector, 0x80)
        Check.equal("user/code-segment", exit.trap.cs, 0x73)
        Check.equal("user/stack-segment", exit.trap.userSS, 0x7B)
        Check.equal("user/stack-pointer", exit.trap.userESP, UInt32(USER_STACK_TOP))
        Check.equal("user/return-address", exit.trap.eip, exit.after)
        Check.equal("user/interrupts-on-in-frame", exit.trap.eflags & 0x200, 0x200)
        // Five words from the top: SS, ESP, EFLAGS, CS, EIP.
        Check.equal("user/trap-uses-set-stack", exit.trap.frameAddress, trap_stack_top_address() - 20)
        Check.equal("user/trap-gate-leaves-interrupts", exit.trap.irqEnabled & 0x200, 0x200)
        Check.userResult("user/registers-kept", UserMode.run(user_calls), 0)

        IDT.set(0x80, .interrupt, privilege: 3)
        let gate = UserMode.run(user_exit, 7)
        Check.userResult("user/interrupt-gate-system-call", gate, 7)
        Check.equal("user/interrupt-gate-disables-interrupts", gate.trap.irqEnabled, 0)
        IDT.setDefault(0x80)

        Hypervisor.setStack(top: VirtualAddress(value: trap_stack_top_address() - 0x400), pages: 1)
        let moved = UserMode.run(user_exit, 8)
        Check.equal("user/set-stack-moves", moved.trap.frameAddress, trap_stack_top_address() - 0x400 - 20)
        Hypervisor.setStack(top: VirtualAddress(value: trap_stack_top_address()), pages: 2)
    }

    private static func privilege() {
        let cli = UserMode.run(user_cli)
        Check.userTrap("user/cli", cli, 13, at: cli.at)
        let port = UserMode.run(user_in)
        Check.userTrap("user/port-read", port, 13, at: port.at)
        let hlt = UserMode.run(user_hlt)
        Check.userTrap("user/hlt", hlt, 13, at: hlt.at)
        let call = UserMode.run(user_hypercall)
        Check.userTrap("user/hypercall-refused", call, 13, error: 0xFA, at: call.at)
        let vmcall = UserMode.run(user_vmcall)
        Check.userTrap("user/vmcall-undefined", vmcall, 6, at: vmcall.at)
        let sysenter = UserMode.run(user_sysenter)
        Check.userTrap("user/sysenter", sysenter, 13, at: sysenter.at)
        let irq = UserMode.run(user_int_irq)
        Check.userTrap("user/int-of-an-irq", irq, 13, error: 0x10A, at: irq.at)
        let segment = UserMode.run(user_load_kernel_data)
        Check.userTrap("user/kernel-segment", segment, 13, error: 0x68, at: segment.at)
    }

    private static func faults() {
        let divide = UserMode.run(user_divide)
        Check.userTrap("user/divide-error", divide, 0, at: divide.at)
        let breakpoint = UserMode.run(user_breakpoint)
        Check.userTrap("user/breakpoint", breakpoint, 3, at: breakpoint.after)
        let step = UserMode.run(user_step)
        Check.userTrap("user/single-step", step, 1, at: step.after)

        let kernel = UInt32(PAGE_OFFSET) + 0x100000
        pageFault("user/reads-kernel", UserMode.run(user_read, kernel), error: 5, address: kernel)
        pageFault("user/writes-kernel", UserMode.run(user_write, kernel), error: 7, address: kernel)
        pageFault("user/reads-nothing", UserMode.run(user_read, 0x70_0000), error: 4, address: 0x70_0000)
        pageFault("user/writes-nothing", UserMode.run(user_write, 0x70_0000), error: 6, address: 0x70_0000)
        pageFault(
            "user/writes-read-only", UserMode.run(user_write, UInt32(USER_TEXT)), error: 7,
            address: UInt32(USER_TEXT))

        let jump = UserMode.run(user_jump, 0x70_0000)
        pageFault("user/jumps-to-nothing", jump, error: 4, address: 0x70_0000)
        Check.equal("user/jump-faults-at-the-target", jump.trap.eip, 0x70_0000)
    }

    private static func pageFault(_ name: StaticString, _ exit: UserMode.Exit, error: UInt32, address: UInt32)
    {
        let trap = exit.trap
        Check.that(
            name, trap.vector == 14 && trap.error == error && trap.cr2 == address && trap.cs == 0x73,
            "\(Check.userComplaint(exit)); expected #PF, error \(hex: error), cr2 \(hex: address)")
    }

    /// The real interrupt flag is on in ring 3 and nothing a program does changes it, nor the I/O privilege.
    private static func flags() {
        let plain = UserMode.run(user_flags)
        Check.equal("user/flags", (plain.result ?? 0) & 0x3200, 0x200)
        let changed = UserMode.run(user_popf)
        Check.equal("user/popf-cannot-disable-interrupts", (changed.result ?? 0) & 0x3200, 0x200)
        let clock = UserMode.run(user_rdtsc)
        Check.that("user/rdtsc-allowed", (clock.result ?? 0) != 0, Check.userComplaint(clock))
        let cpuid = UserMode.run(user_cpuid)
        Check.that("user/cpuid-allowed", (cpuid.result ?? 0) != 0, Check.userComplaint(cpuid))
    }

    private static func threadLocal() {
        let table = Scratch.page
        _ = UserMode.prepare()
        Memory.write32(UserMode.dataPage + 0x40, 0x7157_0001)
        let descriptor = SegmentDescriptor(
            .data, base: UInt32(USER_DATA_PAGE) + 0x40, limit: 0xFFFFF, pages: true, privilege: 3)
        for word in 0..<UInt32(6) { Memory.write32(table + word * 4, 0) }
        Memory.write32(table, descriptor.low)
        Memory.write32(table + 4, descriptor.high)
        GDT.loadTLS(table)
        Check.userResult("user/thread-local-segment", UserMode.run(user_gs, 0x33), 0x7157_0001)
        for word in 0..<UInt32(6) { Memory.write32(table + word * 4, 0) }
        GDT.loadTLS(table)
    }

    /// A program that only looks at memory must be interrupted by the clock all the same. The page it looks
    /// at is written by the interrupt handler, which sees it through the kernel's map.
    private static func interrupted() {
        var delay: UInt32 = 3_000_000
        while true {
            Memory.write32(UserMode.dataPage, 0)
            Timer.userFlag = UserMode.dataPage
            let before = Interrupts.timer.count
            Hypervisor.setClockEvent(nanoseconds: delay)
            let exit = UserMode.run(user_spin)
            Timer.userFlag = nil
            // On a busy host the interrupt may have come before the program began.
            if Interrupts.timer.cs == 0x61, delay < 2_000_000_000 {
                delay *= 2
                continue
            }
            Check.userResult("user/interrupted", exit, 1)
            Check.equal("user/interrupted-once", Interrupts.timer.count &- before, 1)
            break
        }
        Check.equal("user/interrupt-frame-has-ring-3", Interrupts.timer.cs, 0x73)
        Check.equal("user/interrupt-gate-disables", Interrupts.timer.irqEnabled, 0)
    }
}

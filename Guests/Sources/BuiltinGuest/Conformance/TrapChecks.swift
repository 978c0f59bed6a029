// SPDX-License-Identifier: Apache-2.0
//
// Each exception once, from ring 1: the vector, the error code, and the address that it gives.
import Machine

enum TrapChecks {
    static func run() {
        Check.trap("trap/divide-error", Probe.run(probe_divide), 0, at: probe_divide.at)

        let step = Probe.runThrough(probe_step)
        Check.trap("trap/single-step", step, 1, at: probe_step.after)
        Check.equal("trap/single-step-flag-in-frame", step.trap.eflags & 0x100, 0x100)
        Check.equal("trap/single-step-off-in-handler", step.trap.handlerEFLAGS & 0x100, 0)
        Check.equal("trap/single-step-once", Traps.seen, 1)
        Check.equal("trap/single-step-goes-on", step.value, 0x57E9)

        Check.trap("trap/breakpoint", Probe.run(probe_breakpoint), 3, at: probe_breakpoint.after)
        Check.trap("trap/overflow", Probe.run(probe_overflow), 4, at: probe_overflow.after)
        Check.result("trap/into-without-overflow", Probe.run(probe_no_overflow), 0)
        Check.trap("trap/bound", Probe.run(probe_bound), 5, at: probe_bound.at)
        Check.result("trap/bound-inside", Probe.run(probe_bound_inside), 9)
        Check.trap("trap/undefined-opcode", Probe.run(probe_undefined), 6, at: probe_undefined.at)
        floatingPoint()

        let selector = Probe.run(probe_load_fs, 0x3F0 | 1)
        Check.trap("trap/selector-beyond-table", selector, 13, error: 0x3F0, at: probe_load_fs.at)
        let local = Probe.run(probe_load_fs, 0xF)
        Check.trap("trap/local-table-selector", local, 13, error: 0xC, at: probe_load_fs.at)
        Check.trap("trap/null-stack-selector", Probe.run(probe_load_ss, 0), 13, at: probe_load_ss.at)
        Check.result("trap/null-data-selector-loads", Probe.run(probe_load_fs, 0), 0)
        Check.trap("trap/null-selector-use", Probe.run(probe_read_fs, 0, 0), 13, at: probe_read_fs.at)

        Check.trap("trap/sti", Probe.run(probe_sti), 13, at: probe_sti.at)
        Check.trap("trap/lidt", Probe.run(probe_lidt), 13, at: probe_lidt.at)
        Check.trap("trap/read-cr0", Probe.run(probe_read_cr0), 13, at: probe_read_cr0.at)
        Check.trap("trap/rdmsr", Probe.run(probe_rdmsr), 13, at: probe_rdmsr.at)
        Check.trap("trap/wrmsr", Probe.run(probe_wrmsr), 13, at: probe_wrmsr.at)
        Check.trap("trap/string-input", Probe.run(probe_insb), 13, at: probe_insb.at)
    }

    /// The TS hypercall makes the first floating-point instruction trap, so that a kernel can switch that
    /// state late.
    private static func floatingPoint() {
        Hypervisor.setTaskSwitched(true)
        Check.trap("trap/no-coprocessor-while-ts", Probe.run(probe_fpu), 7, at: probe_fpu.at)
        Hypervisor.setTaskSwitched(false)
        Check.result("trap/coprocessor-after-ts-cleared", Probe.run(probe_fpu), 0x3F80_0000)
    }
}

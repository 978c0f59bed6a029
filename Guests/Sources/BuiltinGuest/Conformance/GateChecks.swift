// SPDX-License-Identifier: Apache-2.0
//
// Gates: the two kinds, what the hypervisor does with their fields, and the flags word that it pushes.
import Machine

enum GateChecks {
    static func run() {
        trapGate()
        interruptGate()
        frameFlags()
        privileges()
        IDT.setDefault(3)
    }

    private static func trapGate() {
        IDT.set(3, .trap, privilege: 3)
        let outcome = Probe.runThrough(probe_breakpoint)
        Check.trap("gate/trap-delivered", outcome, 3, at: probe_breakpoint.after)
        Check.equal("gate/trap-leaves-interrupts", outcome.trap.irqEnabled & 0x200, 0x200)
        Check.that(
            "gate/returns-behind-the-instruction", outcome.value == 0xB4EA, "EAX \(hex: outcome.value)")
    }

    private static func interruptGate() {
        IDT.set(3, .interrupt, privilege: 3, selector: 0x1234)
        let outcome = Probe.runThrough(probe_breakpoint)
        Check.trap("gate/interrupt-delivered", outcome, 3, at: probe_breakpoint.after)
        Check.equal("gate/interrupt-disables-interrupts", outcome.trap.irqEnabled, 0)
        Check.equal("gate/frame-remembers-interrupts-on", outcome.trap.eflags & 0x200, 0x200)
        Check.equal("gate/return-enables-them-again", SharedPage.irqEnabled & 0x200, 0x200)
        Check.equal("gate/selector-forced-to-kernel-code", outcome.trap.handlerCS, 0x61)
        Check.equal("gate/real-interrupt-flag-stays-set", outcome.trap.handlerEFLAGS & 0x200, 0x200)
    }

    /// With interrupts off the pushed flags say so, although the real flag is always on.
    private static func frameFlags() {
        Interrupts.disable()
        let outcome = Probe.runThrough(probe_breakpoint)
        let after = SharedPage.irqEnabled
        Interrupts.enable()
        Check.equal("gate/frame-remembers-interrupts-off", outcome.trap.eflags & 0x200, 0)
        Check.equal("gate/return-leaves-them-off", after & 0x200, 0)
        let offset = outcome.trap.frameAddress & 3
        Check.equal("gate/frame-is-aligned", offset, 0)
    }

    /// `int n` looks at the gate's privilege, and a vector without a gate counts as privilege 0.
    private static func privileges() {
        let irq = Probe.run(probe_int_irq)
        Check.trap("gate/int-needs-privilege", irq, 13, error: 0x21 * 8 + 2, at: probe_int_irq.at)
        let unset = Probe.run(probe_int_unset)
        Check.trap("gate/int-without-gate", unset, 13, error: 0x50 * 8 + 2, at: probe_int_unset.at)
        IDT.set(3, .trap, privilege: 1)
        let own = Probe.runThrough(probe_breakpoint)
        Check.trap("gate/int3-with-privilege-1", own, 3, at: probe_breakpoint.after)
        IDT.set(3, .trap, privilege: 0)
        let refused = Probe.run(probe_breakpoint)
        Check.trap("gate/int3-with-privilege-0", refused, 13, error: 3 * 8 + 2, at: probe_breakpoint.at)
    }
}

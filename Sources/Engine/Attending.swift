// SPDX-License-Identifier: Apache-2.0
//
// What an engine does between two instructions when something asks for attention: single steps, breakpoints, the
// one instruction for which STI and loads of SS keep everything off. The same for all engines.

import X86

enum Attending {
    /// Deals with `cpu.attention`; nil to go on. `single` carries out one instruction, or returns why it could not or
    /// what comes after it.
    static func attend(_ cpu: CPU, single: () -> Exit?) -> Exit? {
        let lasting = Attention.singleStep | Attention.breakpoints
        let reasons = cpu.attention & ~lasting
        cpu.attention &= lasting
        if cpu.attention != 0 {
            let exit = watched(cpu, single)
            if exit != nil { cpu.attention |= reasons }
            return exit ?? (reasons != 0 ? .budget : nil)
        }
        // Behind STI and a load of SS, one more instruction runs before anything may come between.
        if cpu.system.interruptShadow {
            cpu.system.interruptShadow = false
            if let exit = single() {
                cpu.attention |= reasons
                return exit
            }
        }
        return .budget
    }

    /// One instruction with EFLAGS.TF set or a breakpoint enabled. The trap comes after an instruction that
    /// began with TF set, unless that instruction loaded SS.
    private static func watched(_ cpu: CPU, _ single: () -> Exit?) -> Exit? {
        let traced = cpu.eflags & EFLAGS.tf != 0
        if !traced { cpu.attention &= ~Attention.singleStep }
        if !cpu.hasBreakpoints { cpu.attention &= ~Attention.breakpoints }
        if cpu.hitsInstructionBreakpoint() { return .exception(Fault(vector: Vector.debug)) }
        cpu.system.interruptShadow = false
        cpu.system.dataBreakpoints = 0
        cpu.eflagsOther &= ~EFLAGS.rf
        if let exit = single() { return exit }
        if cpu.system.interruptShadow { return nil }
        let data = cpu.takeDataBreakpoints()
        if traced { cpu.system.dr[6] |= DebugBits.singleStep }
        return traced || data ? .debugTrap : nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Exactly one instruction, for a debugger: by the processor core, whichever engine runs the guest otherwise. The
// engines' caches notice what it stores as they notice all stores.

import X86

public enum Stepper {
    /// Carries out the instruction at EIP, whatever breakpoints a debugger has set; watchpoints that it meets are
    /// noted in `cpu.debugPoints.hit`. Of a repeated string instruction one element. `.budget` is the exit of
    /// an instruction that ended as most do.
    public static func step(_ cpu: CPU) -> Exit {
        cpu.debugPoints.mode = .noting
        cpu.system.isStepped = true
        defer {
            cpu.debugPoints.mode = .off
            cpu.system.isStepped = false
        }
        // The guest's own debugging comes first, as in an engine's run.
        let traced = cpu.eflags & EFLAGS.tf != 0
        if cpu.hasBreakpoints {
            if cpu.hitsInstructionBreakpoint() { return .exception(Fault(vector: Vector.debug)) }
            cpu.system.dataBreakpoints = 0
        }
        cpu.system.interruptShadow = false
        cpu.eflagsOther &= ~EFLAGS.rf
        cpu.system.wrapsAround = true
        defer { cpu.system.wrapsAround = false }
        do throws(Fault) {
            let outcome = try cpu.execute(try cpu.fetch())
            cpu.instructions &+= 1
            if let exit = Interpreter.exit(outcome) { return exit }
        } catch {
            return .exception(error)
        }
        if cpu.system.interruptShadow { return .budget }
        let data = cpu.hasBreakpoints && cpu.takeDataBreakpoints()
        if traced { cpu.system.dr[6] |= DebugBits.singleStep }
        return traced || data ? .debugTrap : .budget
    }
}

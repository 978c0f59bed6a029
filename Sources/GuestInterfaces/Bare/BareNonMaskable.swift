// SPDX-License-Identifier: Apache-2.0
//
// Non-maskable interrupts, which somebody sends from outside (`lguest monitor NAME nmi`): on a PC by vector 2 of the
// guest's own table, whatever EFLAGS.IF says.

import Engine
import X86

extension BareInterface {
    /// Before the guest has a table with that gate, an NMI would be the end of it.
    public func canTakeNMI(_ cpu: CPU) -> Bool {
        let gate = cpu.system.idtBase &+ 8 * UInt32(Vector.nonMaskable)
        return cpu.system.cr0 & ControlBits.pe != 0
            && cpu.system.idtLimit >= 8 * UInt32(Vector.nonMaskable) + 7
            && cpu.peek(gate &+ 5).map { $0 & 0x80 != 0 } ?? false
    }

    public func raiseNMI(_ cpu: CPU) throws(GuestDeath) {
        isHalted = false
        cpu.system.interruptShadow = false
        counters.interrupts += 1
        try check(cpu.raiseInterrupt(Vector.nonMaskable), after: Vector.nonMaskable, cpu)
    }
}

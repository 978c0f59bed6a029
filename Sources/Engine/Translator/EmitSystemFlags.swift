// SPDX-License-Identifier: Apache-2.0
//
// PUSHF, POPF, CLI and STI, of which a kernel has a dozen in each system call. What is not an everyday change (another
// flag than the arithmetic ones and IF, an interrupt that waits for IF, a privilege at which IF is not free to change) is
// left to the processor core.

import X86

extension BlockEmitter {
    func emitPushFlags(_ k: Int) {
        preserveFlags(k)
        a.formFlags(layout, to: Host.r9, scratch: Host.r10)
        a.alu(4, .register(Host.r9), ~Int32(EFLAGS.rf | EFLAGS.vm))
        a.store(a.field(layout.spill), Host.r9)
        pushing(k) { [self] rm in
            a.load(Host.r9, a.field(layout.spill))
            a.store(rm, Host.r9)
        }
    }

    func emitPopFlags(_ k: Int) {
        preserveFlags(k)
        access(k, at: Host.esp, 4, .read) { [self] rm in
            a.load(Host.r9, rm)
            a.store(a.field(layout.spill), Host.r9)
        }
        a.load(Host.r9, a.field(layout.spill))
        a.move(Host.r10, Host.r9)
        a.op(0x33, reg: Host.r10, a.field(layout.eflagsOther))
        a.alu(4, .register(Host.r10), ~Int32(EFLAGS.arithmetic | 2))
        let changesMore = a.jump(if: Condition.ne)
        let onlyArithmetic = a.here
        a.keepFlags(layout, from: Host.r9, scratch: Host.r10)
        a.lea(Host.esp, .at(Host.esp, 4))
        place = .saved
        outOfLine.append { [self] in
            a.bind(changesMore)
            a.alu(7, .register(Host.r10), Int32(EFLAGS.interrupt))
            fallBack(k, if: Condition.ne)
            guardInterruptFlag(k, waits: true)
            a.alu(6, a.field(layout.eflagsOther), Int32(EFLAGS.interrupt))
            a.jump(to: onlyArithmetic)
        }
    }

    func emitInterruptFlag(_ k: Int) {
        preserveFlags(k)
        guard instructions[k].operation == .sti else {
            guardInterruptFlag(k, waits: false)
            a.alu(4, a.field(layout.eflagsOther), ~Int32(EFLAGS.interrupt))
            return
        }
        guardInterruptFlag(k, waits: true)
        a.op(0xF7, reg: 0, a.field(layout.eflagsOther))
        a.word(EFLAGS.interrupt)
        let isSet = a.shortJump(0x75)
        a.alu(1, a.field(layout.eflagsOther), Int32(EFLAGS.interrupt))
        a.op(0xC6, reg: 0, a.field(layout.interruptShadow))
        a.byte(1)
        a.bindShort(isSet)
    }

    /// To the processor core unless IF is this code's to change, and (with `waits`) nothing waits for it. Flags are saved
    /// or dead.
    private func guardInterruptFlag(_ k: Int, waits: Bool) {
        for field in waits ? [layout.cpl, layout.interruptWaits] : [layout.cpl] {
            a.compareByte(a.field(field), 0)
            fallBack(k, if: Condition.ne)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// PUSHF, POPF, CLI and STI, of which a kernel has a dozen in each system call. What is not an everyday change (another
// flag than the arithmetic ones and IF, an interrupt that waits for IF, a privilege at which IF is not free to change) is
// left to the processor core.

import X86

extension BlockEmitter {
    func emitPushFlags(_ k: Int) {
        preserveFlags(k)
        // EFLAGS, of the two places where it is kept.
        a.op(0xB7, map: 1, reg: Host.r9, a.field(layout.flagImage))
        a.move(Host.r10, Host.r9)
        shift(Host.r9, right: true, 8)
        a.alu(4, .register(Host.r9), 0xD5)
        a.alu(4, .register(Host.r10), 1)
        shift(Host.r10, right: false, 11)
        a.op(0x0B, reg: Host.r9, .register(Host.r10))
        a.op(0x0B, reg: Host.r9, a.field(layout.eflagsOther))
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
        a.move(Host.r10, Host.r9)
        a.alu(4, .register(Host.r10), 0xD5)
        a.alu(1, .register(Host.r10), 2)
        shift(Host.r10, right: false, 8)
        shift(Host.r9, right: true, 11)
        a.alu(4, .register(Host.r9), 1)
        a.op(0x0B, reg: Host.r10, .register(Host.r9))
        a.store(a.field(layout.flagImage), Host.r10)
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
            a.op(0x80, reg: 7, a.field(field))  // CMP byte
            a.byte(0)
            fallBack(k, if: Condition.ne)
        }
    }

    private func shift(_ register: Int, right: Bool, _ count: UInt8) {
        a.op(0xC1, reg: right ? 5 : 4, .register(register))
        a.byte(count)
    }
}

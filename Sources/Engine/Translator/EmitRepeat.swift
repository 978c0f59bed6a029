// SPDX-License-Identifier: Apache-2.0
//
// REP MOVS, REP STOS and REPcc SCAS: the host's own, on host addresses. In the window, source and destination may lie
// anywhere, and what faults half way is finished by the processor core; with flat tables both must lie within a
// page.

import CHost
import X86

extension BlockEmitter {
    func emitRepeat(_ k: Int) {
        let i = instructions[k]
        let size = i.operation == .stos ? i.destination.size : i.source.size
        preserveFlags(k)
        a.op(0xF7, reg: 0, a.field(layout.eflagsOther))
        a.word(EFLAGS.df)
        fallBack(k, if: Condition.ne)
        if usesWindow && flatness == 0 { repeatInWindow(k, size) } else { repeatInPages(k, size) }
    }

    private func repeated(_ k: Int, _ size: UInt8) {
        let base: UInt8 = instructions[k].operation == .stos ? 0xAA : 0xA4
        if size == 2 { a.byte(0x66) }
        a.byte(0xF3)
        a.byte(size == 1 ? base : base | 1)
    }

    private func shift(_ k: Int, _ index: UInt8, _ source: Int, _ destination: Int) {
        // ADD or SUB
        if instructions[k].operation == .movs { a.op(index, reg: source, .register(Host.rsi), wide: true) }
        a.op(index, reg: destination, .register(Host.rdi), wide: true)
    }

    /// Back to guest addresses, which wrap.
    private func shiftBack(_ k: Int, _ source: Int, _ destination: Int) {
        shift(k, 0x29, source, destination)
        if instructions[k].operation == .movs { a.move(Host.rsi, Host.rsi) }
        a.move(Host.rdi, Host.rdi)
    }

    private func repeatInWindow(_ k: Int, _ size: UInt8) {
        a.alu(7, .register(Host.rcx), repeatLimit)
        fallBack(k, if: Condition.a)
        a.load64(Host.r9, a.field(layout.window))
        shift(k, 0x01, Host.r9, Host.r9)
        let site = a.here
        repeated(k, size)
        shiftBack(k, Host.r9, Host.r9)
        outOfLine.append { [self] in
            cache.sites.append(
                lguest_fault_site(
                    instruction: UInt32(truncatingIfNeeded: site), target: UInt32(truncatingIfNeeded: a.here))
            )
            // ECX, ESI and EDI say what is left to do.
            shiftBack(k, Host.r9, Host.r9)
            a.immediate(Host.r11, addHelper(k, endsBlock: false, missedWindow: true))
            a.call(thunks.helper)
            if placesAfter[k] != .saved { a.restoreFlags(layout) }
            a.jump(to: ends[k])
        }
    }

    private func repeatInPages(_ k: Int, _ size: UInt8) {
        let moves = instructions[k].operation == .movs
        a.alu(7, .register(Host.rcx), Int32(0x1000 / Int32(size)))
        fallBack(k, if: Condition.a)
        let bytes = RM.memory(base: -1, index: Host.rcx, scale: size.trailingZeroBitCount, displacement: 0)
        a.lea(Host.r9, bytes)
        for register in moves ? [Host.rsi, Host.rdi] : [Host.rdi] {
            a.move(Host.r11, register)
            a.alu(4, .register(Host.r11), 0xFFF)
            a.op(0x03, reg: Host.r11, .register(Host.r9))
            a.alu(7, .register(Host.r11), 0x1000)
            fallBack(k, if: Condition.a)
        }
        entry(Host.r11, Host.rdi, Host.writeTable)
        fallBack(k, if: Condition.e)
        if moves {
            entry(Host.r10, Host.rsi, Host.readTable)
            fallBack(k, if: Condition.e)
        }
        shift(k, 0x01, Host.r10, Host.r11)
        repeated(k, size)
        shiftBack(k, Host.r10, Host.r11)
    }

    /// REPcc SCAS of bytes, as far as the page goes; the processor core looks at what comes behind.
    func emitScan(_ k: Int) {
        preserveFlags(k)
        a.op(0xF7, reg: 0, a.field(layout.eflagsOther))
        a.word(EFLAGS.df)
        fallBack(k, if: Condition.ne)
        // Without an element the flags stay as they are.
        a.op(0x85, reg: Host.rcx, .register(Host.rcx))
        fallBack(k, if: Condition.e)
        entry(Host.r11, Host.rdi, Host.readTable)
        fallBack(k, if: Condition.e)
        a.move(Host.r9, Host.rdi)
        a.alu(4, .register(Host.r9), 0xFFF)
        a.op(0xF7, reg: 3, .register(Host.r9))  // NEG
        a.alu(0, .register(Host.r9), 0x1000)
        a.op(0x3B, reg: Host.r9, .register(Host.rcx))
        a.op(0x47, map: 1, reg: Host.r9, .register(Host.rcx))  // CMOVA
        a.move(Host.r10, Host.rcx)
        a.op(0x2B, reg: Host.r10, .register(Host.r9))
        a.move(Host.rcx, Host.r9)
        a.op(0x01, reg: Host.r11, .register(Host.rdi), wide: true)
        a.op(0xF7, reg: 3, .register(Host.r11), wide: true)
        let untilEqual = instructions[k].prefixes.contains(.repeatNotEqual)
        a.byte(untilEqual ? 0xF2 : 0xF3)
        a.byte(0xAE)
        // Back to guest registers; LEA keeps the flags.
        a.lea(Host.rcx, .sum(Host.rcx, Host.r10))
        a.lea(Host.rdi, .sum(Host.rdi, Host.r11))
        let goesOn = a.jump(if: untilEqual ? Condition.ne : Condition.e)
        place = .host
        outOfLine.append { [self] in
            a.bind(goesOn)
            let isDone = a.shortJump(0xE3)  // JRCXZ
            // A fault in the next page shows the flags of the last element here.
            a.saveFlags(layout)
            a.immediate(Host.r11, addHelper(k, endsBlock: false))
            a.call(thunks.helper)
            a.restoreFlags(layout)
            a.jump(to: ends[k])
            a.bindShort(isDone)
            a.jump(to: ends[k])
        }
    }

    /// The table's entry for the page of an address, and whether there is one in ZF.
    private func entry(_ to: Int, _ address: Int, _ table: Int) {
        pageNumber(to, address)
        a.load64(to, .memory(base: table, index: to, scale: 3, displacement: 0))
        a.op(0x85, reg: to, .register(to), wide: true)
    }
}

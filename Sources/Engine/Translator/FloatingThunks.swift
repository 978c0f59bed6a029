// SPDX-License-Identifier: Apache-2.0
//
// Moving the guest's XMM and x87 registers into the host's and back. They come when generated code first
// needs them and stay until it calls out or is left; nothing is moved for code that does not use them.

import X86

enum FloatingThunks {
    // Offsets in the FXSAVE image (Intel SDM volume 1, table 10-2).
    private static let control = 0, tags = 4, mxcsr = 24, registers = 32, xmm = 160
    private static let allMasked: Int32 = 0x1F80

    /// Brings in XMM0–7 and MXCSR.
    static func loadSSE(_ a: inout Assembler, _ layout: StateLayout) -> Int {
        let start = a.here
        a.op(0xF7, reg: 0, a.field(layout.cr0))
        a.word(ControlBits.em | ControlBits.ts)
        let denied = a.jump(if: Condition.ne)
        a.op(0xF7, reg: 0, a.field(layout.cr4))
        a.word(ControlBits.osfxsr)
        let off = a.jump(if: Condition.e)
        a.load(Host.r9, a.field(layout.fpu + mxcsr))
        a.alu(4, .register(Host.r9), allMasked)
        a.alu(7, .register(Host.r9), allMasked)
        let unmasked = a.jump(if: Condition.ne)
        moveSSE(&a, layout, load: true)
        a.storeImmediate(a.field(layout.hasSSE), 1)
        a.byte(0xF8)  // CLC
        a.ret()
        for jump in [denied, off, unmasked] { a.bind(jump) }
        a.byte(0xF9)  // STC
        a.ret()
        return start
    }

    private static func moveSSE(_ a: inout Assembler, _ layout: StateLayout, load: Bool) {
        // LDMXCSR, STMXCSR
        a.op(0xAE, map: 1, reg: load ? 2 : 3, a.field(layout.fpu + mxcsr))
        for n in 0..<8 {
            a.op(load ? 0x10 : 0x11, map: 1, reg: n, a.field(layout.fpu + xmm + 16 * n))
        }
    }

    /// Brings in the x87 registers, status and control word.
    static func loadX87(_ a: inout Assembler, _ layout: StateLayout) -> Int {
        let start = a.here
        a.op(0xF7, reg: 0, a.field(layout.cr0))
        a.word(ControlBits.em | ControlBits.ts)
        let denied = a.jump(if: Condition.ne)
        a.load(Host.r9, a.field(layout.fpu + control))
        a.alu(4, .register(Host.r9), 0x3F)
        a.alu(7, .register(Host.r9), 0x3F)
        let unmasked = a.jump(if: Condition.ne)
        a.byte(0x50)  // PUSH RAX, PUSH RDX
        a.byte(0x52)
        restoreX87(&a, layout)
        a.byte(0x5A)
        a.byte(0x58)
        a.storeImmediate(a.field(layout.hasX87), 1)
        a.byte(0xF8)
        a.ret()
        for jump in [denied, unmasked] { a.bind(jump) }
        a.byte(0xF9)
        a.ret()
        return start
    }

    /// Changes RAX, RDX and R9.
    private static func restoreX87(_ a: inout Assembler, _ layout: StateLayout) {
        a.load64(Host.r9, a.field(layout.transferArea))
        for offset in stride(from: 0, to: xmm, by: 8) {
            a.load64(Host.rax, a.field(layout.fpu + offset))
            a.store64(.at(Host.r9, Int32(offset)), Host.rax)
        }
        a.op(0xC7, reg: 0, .at(Host.r9, 512), wide: true)  // XSTATE_BV: x87 alone
        a.word(1)
        a.immediate(Host.rax, 1)
        a.op(0x33, reg: Host.rdx, .register(Host.rdx))
        a.op(0xAE, map: 1, reg: 5, .at(Host.r9))  // XRSTOR
    }

    /// Control word, status, tags and registers; the pointers to the last instruction are not kept.
    private static func saveX87(_ a: inout Assembler, _ layout: StateLayout) {
        a.load64(Host.r9, a.field(layout.transferArea))
        a.immediate(Host.rax, 1)
        a.op(0x33, reg: Host.rdx, .register(Host.rdx))
        a.op(0xAE, map: 1, reg: 4, .at(Host.r9))  // XSAVE
        a.byte(0xDB)  // FNINIT
        a.byte(0xE3)
        a.load(Host.rax, .at(Host.r9))
        a.store(a.field(layout.fpu), Host.rax)
        a.op(0x8A, reg: Host.rax, .at(Host.r9, Int32(tags)))
        a.op(0x88, reg: Host.rax, a.field(layout.fpu + tags))
        for offset in stride(from: registers, to: xmm, by: 8) {
            a.load64(Host.rax, .at(Host.r9, Int32(offset)))
            a.store64(a.field(layout.fpu + offset), Host.rax)
        }
    }

    /// Puts what is in the host's registers into the state. RAX, RDX, R9 and flags are free.
    static func putAway(_ a: inout Assembler, _ layout: StateLayout) {
        let noSSE = skipUnless(&a, a.field(layout.hasSSE))
        moveSSE(&a, layout, load: false)
        a.op(0xAE, map: 1, reg: 2, a.field(layout.hostMXCSR))
        a.bind(noSSE)
        let noX87 = skipUnless(&a, a.field(layout.hasX87))
        saveX87(&a, layout)
        a.bind(noX87)
    }

    /// The reverse, for units that were in use.
    static func bringBack(_ a: inout Assembler, _ layout: StateLayout) {
        let noSSE = skipUnless(&a, a.field(layout.hasSSE))
        moveSSE(&a, layout, load: true)
        a.bind(noSSE)
        let noX87 = skipUnless(&a, a.field(layout.hasX87))
        restoreX87(&a, layout)
        a.bind(noX87)
    }

    private static func skipUnless(_ a: inout Assembler, _ field: RM) -> Int {
        a.alu(7, field, 0)
        return a.jump(if: Condition.e)
    }
}

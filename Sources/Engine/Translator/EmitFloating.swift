// SPDX-License-Identifier: Apache-2.0
//
// x87, MMX and SSE instructions run as they are, on the guest's registers in the host's units, as long
// as the guest has all floating-point exceptions masked. What loads control words or whole images is left to
// the processor core.

import X86

enum FloatingSupport {
    /// x87 memory forms that load control words or move the whole state, by octal opcode and ModRM.reg.
    static func mayUnmask(_ i: Instruction) -> Bool {
        switch Int(i.opcode & 7) << 3 | i.reg {
        case 0o14, 0o15, 0o54: true
        default: false
        }
    }

    private static func movesState(_ i: Instruction) -> Bool {
        switch Int(i.opcode & 7) << 3 | i.reg {
        case 0o14, 0o15, 0o16, 0o54, 0o56: true
        default: false
        }
    }

    /// x87 memory forms that store.
    static func stores(_ i: Instruction) -> Bool {
        switch Int(i.opcode & 7) << 3 | i.reg {
        case 0o12, 0o13, 0o17, 0o31, 0o32, 0o33, 0o37, 0o51, 0o52, 0o53, 0o57, 0o71, 0o72, 0o73, 0o76, 0o77:
            true
        default: false
        }
    }

    static func handles(_ i: Instruction) -> Bool {
        switch i.operation {
        case .sse, .sseNumeric, .sseImmediate, .sseCompare, .sseToGeneral, .sseFromGeneral, .sseMoveMask:
            return true
        case .sseMemory:
            // MOVQ2DQ and MOVDQ2Q use both units.
            return !(i.opcode == 0xD6 && i.mandatoryPrefix >= 2)
        case .x87:
            return NativeSupport.hasXSAVE
        case .x87Memory: return NativeSupport.hasXSAVE && !movesState(i)
        case .mmx, .mmxMove, .mmxImmediate, .emms: return NativeSupport.hasXSAVE
        default: return false
        }
    }

    static func usesSSE(_ i: Instruction) -> Bool {
        switch i.operation {
        // From memory, these name no XMM register, but use MXCSR.
        case .sseToGeneral: true
        case .sse, .sseNumeric, .sseImmediate, .sseCompare, .sseFromGeneral, .sseMoveMask, .sseMemory:
            i.destination.kind == .xmm || i.source.kind == .xmm
        default: false
        }
    }

    /// Whether a memory operand of 16 bytes must be aligned.
    static func needsAlignment(_ i: Instruction, _ size: Int) -> Bool {
        guard size == 16 else { return false }
        guard i.operation == .sseMemory else { return true }
        switch (i.opcode, i.mandatoryPrefix) {
        case (0x10, _), (0x11, _), (0x6F, 2), (0x7F, 2), (0xF0, 3): return false
        default: return true
        }
    }
}

extension BlockEmitter {
    /// Makes sure that the unit's registers are in the host's, or leaves the instruction to the core.
    private func requireUnit(_ k: Int, sse: Bool) {
        if sse ? hasSSE : hasX87 { return }
        preserveFlags(k)
        a.alu(7, a.field(sse ? layout.hasSSE : layout.hasX87), 0)
        let missing = a.jump(if: Condition.e)
        let back = a.here
        if sse { hasSSE = true } else { hasX87 = true }
        outOfLine.append { [self] in
            a.bind(missing)
            a.call(sse ? thunks.loadSSE : thunks.loadX87)
            a.jump(if: Condition.ae, to: back)
            let number = addHelper(k, endsBlock: true)
            a.immediate(Host.r11, number)
            a.call(thunks.helper)
            a.jump(to: thunks.resume)
        }
    }

    func emitFloating(_ k: Int) {
        let i = instructions[k]
        requireUnit(k, sse: FloatingSupport.usesSSE(i))
        if i.operation == .x87 || i.operation == .x87Memory {
            emitX87(k)
            return
        }
        let prefix: UInt8 = [0, 0x66, 0xF3, 0xF2][Int(i.mandatoryPrefix)]
        let hasImmediate = i.source.kind == .immediate || i.third.kind == .immediate
        let registerForm = i.isRegisterForm
        // Where a general register is named, it may be ESP; in ModRM.reg by these opcodes only.
        let inReg: Bool =
            switch i.opcode {
            case 0x50, 0xD7, 0xC5, 0x2C, 0x2D: i.destination.kind == .register
            default: false
            }
        let inRM = !inReg && (i.destination.kind == .register || i.source.kind == .register)
        let reg = inReg ? hostRegister(UInt8(i.reg)) : i.reg
        let one = { [self] (rm: RM) in
            a.op(i.opcode, map: i.map, reg: reg, rm, prefix: prefix)
            if hasImmediate { a.byte(UInt8(truncatingIfNeeded: i.immediate)) }
        }
        guard i.destination.isMemory || i.source.isMemory else {
            onRegisters(k) {
                if i.operation == .emms {
                    a.byte(0x0F)
                    a.byte(0x77)
                } else {
                    precondition(registerForm)
                    one(.register(inRM ? hostRegister(UInt8(i.rm)) : i.rm))
                }
            }
            return
        }
        let size = Int(i.destination.isMemory ? i.destination.size : i.source.size)
        floatingAccess(k, size, write: i.destination.isMemory, one)
    }

    private func floatingAccess(_ k: Int, _ size: Int, write: Bool, _ one: @escaping (RM) -> Void) {
        let i = instructions[k]
        guard FloatingSupport.needsAlignment(i, size) else {
            access(k, size, write ? .write : .read, one)
            return
        }
        if usesWindow && canUseWindow(k) {
            operandInWindow(k, size, write ? .write : .read, isAligned: true, finish: nil, one)
            return
        }
        preserveFlags(k)
        let register = formAddress(k)
        if register >= 4 && register <= 7 { a.byte(0x40) }
        a.op(0xF6, reg: 0, .register(register))
        a.byte(15)
        fallBack(k, if: Condition.ne)
        access(k, at: register, 16, write ? .write : .read, one)
    }

    private func emitX87(_ k: Int) {
        let i = instructions[k]
        guard i.operation == .x87Memory else {
            onRegisters(k) {
                a.byte(i.opcode)
                a.byte(i.modRM)
            }
            return
        }
        access(k, Int(i.destination.size), FloatingSupport.stores(i) ? .write : .read) { [self] rm in
            a.op(i.opcode, reg: i.reg, rm)
        }
    }
}

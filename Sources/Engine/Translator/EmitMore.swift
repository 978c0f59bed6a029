// SPDX-License-Identifier: Apache-2.0
//
// Instructions that need more than one of the host's: exchanges with memory (without the lock that XCHG
// implies, since the guest has one processor), bit tests beyond an operand, divisions that might trap on
// the host, and single string elements.

import X86

extension BlockEmitter {
    func emitExchange(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        guard i.destination.isMemory else {
            emitSized(0x86, size: size, reg: number(i.source), .register(number(i.destination)))
            return
        }
        access(k, Int(size), .modify) { [self] rm in
            withByteRegister(i.source) {
                emitSized(0x8A, size: size, reg: Host.r9, rm)
                emitSized(0x88, size: size, reg: $0, rm)
            }
            if size == 1 && i.source.index > 3 {
                // Once the operand is written, nothing can fault any more. R9B and a high byte cannot meet in one instruction.
                let low = Int(i.source.index & 3)
                a.op(0x86, reg: low, .register(Int(i.source.index)))
                a.op(0x88, reg: Host.r9, .register(low))
                a.op(0x86, reg: low, .register(Int(i.source.index)))
            } else {
                emitSized(0x88, size: size, reg: Host.r9, .register(number(i.source)))
            }
        }
    }

    func emitCompareExchange(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        let opcode: UInt8 = i.operation == .xadd ? 0xC0 : 0xB0
        if i.destination.isMemory {
            access(k, Int(size), .modify) { [self] rm in
                withByteRegister(i.source) { emitSized(opcode, map: 1, size: size, reg: $0, rm) }
            }
        } else {
            onRegisters(k) {
                emitSized(
                    opcode, map: 1, size: size, reg: number(i.source), .register(number(i.destination)))
            }
        }
    }

    func emitBitTest(_ k: Int) {
        let i = instructions[k]
        let index: UInt8 =
            switch i.operation {
            case .bt: 0
            case .bts: 1
            case .btr: 2
            default: 3
            }
        let prefix: UInt8 = i.destination.size == 2 ? 0x66 : 0
        let byImmediate = i.source.kind == .immediate
        let one = { [self] (rm: RM, register: Int) in
            if byImmediate {
                a.op(0xBA, map: 1, reg: 4 + Int(index), rm, prefix: prefix)
                a.byte(UInt8(truncatingIfNeeded: i.immediate))
            } else {
                a.op(0xA3 | index << 3, map: 1, reg: register, rm, prefix: prefix)
            }
        }
        guard i.destination.isMemory else {
            onRegisters(k) {
                one(.register(hostRegister(i.destination.index)), hostRegister(i.source.index))
            }
            return
        }
        let kind: Access = i.operation == .bt ? .read : .modify
        if byImmediate {
            access(k, 4, kind) { one($0, 0) }
            return
        }
        // The bit number is signed and reaches beyond the operand: whole operands go into the address.
        preserveFlags(k)
        let formed = formAddress(k)
        let source = hostRegister(i.source.index)
        a.move(Host.r9, source)
        a.alu(4, .register(Host.r9), 31)
        a.store(a.field(layout.spill), Host.r9)
        a.move(Host.r9, source)
        a.op(0xC1, reg: 7, .register(Host.r9))  // SAR 5
        a.byte(5)
        a.lea(Host.r11, .memory(base: formed, index: Host.r9, scale: 2, displacement: 0))
        access(k, at: Host.r11, 4, kind) { [self] rm in
            a.load(Host.r9, a.field(layout.spill))
            one(rm, Host.r9)
        }
    }

    /// DIV and IDIV of EDX:EAX: cases that might overflow are left to the processor core. Flags are undefined
    /// afterwards; they stay as they are.
    func emitDivide(_ k: Int) {
        let i = instructions[k]
        preserveFlags(k)
        if i.destination.isMemory {
            access(k, 4, .read) { [self] rm in a.load(Host.r9, rm) }
        } else {
            a.move(Host.r9, hostRegister(i.destination.index))
        }
        if i.operation == .div {
            // The quotient fits exactly if EDX is below the divisor.
            a.op(0x3B, reg: Host.rdx, .register(Host.r9))
            fallBack(k, if: Condition.ae)
            a.op(0xF7, reg: 6, .register(Host.r9))
        } else {
            a.move(Host.r11, Host.rax)
            a.op(0xC1, reg: 7, .register(Host.r11))
            a.byte(31)
            a.op(0x3B, reg: Host.r11, .register(Host.rdx))
            fallBack(k, if: Condition.ne)
            a.lea(Host.r11, .at(Host.r9, 1))
            a.alu(7, .register(Host.r11), 1)  // 0 and -1
            fallBack(k, if: Condition.be)
            a.op(0xF7, reg: 7, .register(Host.r9))
        }
    }

    /// One element of MOVS, STOS, LODS or SCAS, upwards.
    func emitString(_ k: Int) {
        let i = instructions[k]
        preserveFlags(k)
        a.op(0xF7, reg: 0, a.field(layout.eflagsOther))
        a.word(EFLAGS.df)
        fallBack(k, if: Condition.ne)
        let isString = i.source.kind == .stringSource || i.source.kind == .stringDestination
        let size = isString ? i.source.size : i.destination.size
        let step = Int32(size)
        switch i.operation {
        case .lods:
            access(k, at: Host.rsi, Int(size), .read) { [self] rm in
                emitSized(0x8A, size: size, reg: Host.rax, rm)
                a.lea(Host.rsi, .at(Host.rsi, step))
            }
        case .scas:
            access(k, at: Host.rdi, Int(size), .read) { [self] rm in
                emitSized(0x3A, size: size, reg: Host.rax, rm)
                a.lea(Host.rdi, .at(Host.rdi, step))
            }
        case .stos:
            access(
                k, at: Host.rdi, Int(size), .write,
                finish: { [self] in a.lea(Host.rdi, .at(Host.rdi, step)) }
            ) { [self] rm in emitSized(0x88, size: size, reg: Host.rax, rm) }
        default:
            access(k, at: Host.rsi, Int(size), .read) { [self] rm in
                emitSized(0x8A, size: size, reg: Host.r9, rm)
                a.store(a.field(layout.spill), Host.r9)
            }
            access(
                k, at: Host.rdi, Int(size), .write,
                finish: { [self] in
                    a.lea(Host.rsi, .at(Host.rsi, step))
                    a.lea(Host.rdi, .at(Host.rdi, step))
                }
            ) { [self] rm in
                a.load(Host.r9, a.field(layout.spill))
                emitSized(0x88, size: size, reg: Host.r9, rm)
            }
        }
    }

    /// RDTSC where the guest's counter is a function of the host's; otherwise the environment is asked.
    func emitTimestamp(_ k: Int) {
        preserveFlags(k)
        a.op(0xF7, reg: 0, a.field(layout.cr4))
        a.word(ControlBits.tsd)
        fallBack(k, if: Condition.ne)
        a.alu(7, a.field(layout.timestampRate), 0, wide: true)
        fallBack(k, if: Condition.e)
        a.byte(0x0F)
        a.byte(0x31)
        a.op(0xC1, reg: 4, .register(Host.rdx), wide: true)  // SHL RDX, 32
        a.byte(32)
        a.op(0x0B, reg: Host.rax, .register(Host.rdx), wide: true)
        a.op(0x2B, reg: Host.rax, a.field(layout.timestampBase), wide: true)
        a.op(0xF7, reg: 4, a.field(layout.timestampRate), wide: true)  // MUL
        a.op(0xAC, map: 1, reg: Host.rdx, .register(Host.rax), wide: true)  // SHRD RAX, RDX, 32
        a.byte(32)
        a.op(0x03, reg: Host.rax, a.field(layout.timestampGuest), wide: true)
        a.move64(Host.rdx, Host.rax)
        a.op(0xC1, reg: 5, .register(Host.rdx), wide: true)  // SHR RDX, 32
        a.byte(32)
        a.move(Host.rax, Host.rax)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Guest instructions that become the same instruction of the host, with the guest's ESP in R8 and memory
// operands at `[R10 + address]`.

import X86

extension BlockEmitter {
    /// What the processor core carries out, and crossings that it need not.
    private func emitOther(_ k: Int) {
        let i = instructions[k]
        let pieces = thunks.crossings
        switch i.operation {
        case .int where i.immediate & 0xFF == UInt32(SystemCallGate.vector):
            emitCrossing(k, pieces.systemCall)
        case .sysenter: emitCrossing(k, pieces.systemEnter)
        case .sysexit: emitCrossing(k, pieces.systemExit)
        case .iret where i.operandSize == 4: emitCrossing(k, pieces.interruptReturn)
        default: emitHelper(k)
        }
    }

    func emitInstruction(_ k: Int) {
        let i = instructions[k]
        guard NativeSupport.handles(i) else {
            emitOther(k)
            return
        }
        switch i.operation {
        case .nop, .pause, .prefetch, .fence: break
        case .mov: emitMove(k)
        case .lea: emitLea(i)
        case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp: emitALU(k)
        case .test: emitTest(k)
        case .inc, .dec, .not, .neg, .mul, .imul1: emitUnary(k)
        case .shl, .shr, .sar, .rol, .ror, .rcl, .rcr: emitShift(k)
        case .movzx, .movsx, .bsf, .bsr, .imul2, .cmov: emitToRegister(k)
        case .imul3: emitMultiplyImmediate(k)
        case .shld, .shrd: emitDoubleShift(k)
        case .set: emitSet(k)
        case .xchg: emitExchange(k)
        case .cmpxchg, .xadd: emitCompareExchange(k)
        case .cmpxchg8b: access(k, 8, .modify) { [self] rm in a.op(0xC7, map: 1, reg: 1, rm) }
        case .bt, .bts, .btr, .btc: emitBitTest(k)
        case .div, .idiv: emitDivide(k)
        case .cbw, .cwd, .bswap, .clc, .stc, .cmc, .lahf, .sahf: emitPlain(k)
        case .rdtsc: emitTimestamp(k)
        case .cld, .std:
            // On the flags word of the state; AND and OR spoil flags.
            preserveFlags(k)
            if i.operation == .cld {
                a.alu(4, a.field(layout.eflagsOther), ~Int32(EFLAGS.df))
            } else {
                a.alu(1, a.field(layout.eflagsOther), Int32(EFLAGS.df))
            }
        case .push: emitPush(k)
        case .pop: emitPop(k)
        case .pushSegment: emitPushSegment(k)
        case .pushf: emitPushFlags(k)
        case .popf: emitPopFlags(k)
        case .cli, .sti: emitInterruptFlag(k)
        case .movFromSegment:
            a.op(
                0xB7, map: 1, reg: hostRegister(i.destination.index),
                a.field(layout.segmentSelector(Int(i.source.index))))
        case .movToSegment, .popSegment: emitLoadSegment(k)
        case .leave: emitLeave(k)
        case .movs, .stos, .lods, .scas:
            if i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual]) {
                emitString(k)
            } else if i.operation == .scas {
                emitScan(k)
            } else {
                emitRepeat(k)
            }
        case .jcc, .jmp, .jcxz, .loop, .call, .ret: emitBranch(k)
        default: emitFloating(k)
        }
    }

    /// Runs `body` on the host's flags where the instruction has no memory operand.
    func onRegisters(_ k: Int, _ body: () -> Void) {
        let restored = neededRestore(k)
        restore(restored)
        body()
        flagsWritten(k, restored: restored)
    }

    /// One general form: opcode for bytes in `opcode`, for larger operands in `opcode + 1`.
    func emitSized(_ opcode: UInt8, map: UInt8 = 0, size: UInt8, reg: Int, _ rm: RM) {
        a.op(
            size == 1 ? opcode : opcode | 1, map: map, reg: reg, rm, prefix: size == 2 ? 0x66 : 0)
    }

    func emitImmediate(_ value: UInt32, size: UInt8) {
        switch size {
        case 1: a.byte(UInt8(truncatingIfNeeded: value))
        case 2: a.half(UInt16(truncatingIfNeeded: value))
        default: a.word(value)
        }
    }

    /// Register number for an operand of `size` bytes; byte registers keep their encoding.
    func number(_ operand: Operand) -> Int {
        operand.size == 1 ? Int(operand.index) : hostRegister(operand.index)
    }

    /// A byte register that has to be named beside R10 needs a low one: AH, CH, DH and BH change places
    /// with AL, CL, DL and BL for the time of `body`.
    func withByteRegister(_ operand: Operand, _ body: (Int) -> Void) {
        guard operand.size == 1 && operand.index > 3, !inWindow else {
            body(number(operand))
            return
        }
        let low = Int(operand.index & 3)
        a.op(0x86, reg: low, .register(Int(operand.index)))
        body(low)
        a.op(0x86, reg: low, .register(Int(operand.index)))
    }

    private func emitMove(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        switch (i.destination.kind, i.source.kind) {
        case (.register, .register):
            emitSized(0x88, size: size, reg: number(i.source), .register(number(i.destination)))
        case (.register, .immediate):
            if loadsConstant(i) {
                a.immediate64(Host.r11, UInt64(constantAddress(k)))
                a.load(number(i.destination), .at(Host.r11))
            } else if size == 4 {
                a.immediate(number(i.destination), i.immediate)
            } else {
                emitSized(0xC6, size: size, reg: 0, .register(number(i.destination)))
                emitImmediate(i.immediate, size: size)
            }
        case (.register, .memory):
            access(k, Int(size), .read) { [self] rm in
                withByteRegister(i.destination) { emitSized(0x8A, size: size, reg: $0, rm) }
            }
        case (.memory, .register):
            access(k, Int(size), .write) { [self] rm in
                withByteRegister(i.source) { emitSized(0x88, size: size, reg: $0, rm) }
            }
        default:
            access(k, Int(size), .write) { [self] rm in
                emitSized(0xC6, size: size, reg: 0, rm)
                emitImmediate(i.immediate, size: size)
            }
        }
    }

    private func emitLea(_ i: Instruction) {
        let to = hostRegister(i.destination.index)
        if i.base == UInt8(GPR.zero) && i.index == UInt8(GPR.zero) && i.operandSize == 4 {
            a.immediate(to, i.addressSize == 2 ? i.displacement & 0xFFFF : i.displacement)
            return
        }
        if i.addressSize == 4 {
            a.op(0x8D, reg: to, effective(i), prefix: i.operandSize == 2 ? 0x66 : 0)
        } else {
            a.lea(Host.r11, effective(i))
            if i.operandSize == 2 {
                a.op(0x89, reg: Host.r11, .register(to), prefix: 0x66)
            } else {
                a.op(0xB7, map: 1, reg: to, .register(Host.r11))  // MOVZX from 16 bits
            }
        }
    }

    static func aluIndex(_ operation: Operation) -> UInt8 {
        switch operation {
        case .add: 0
        case .or: 1
        case .adc: 2
        case .sbb: 3
        case .and: 4
        case .sub: 5
        case .xor: 6
        default: 7
        }
    }

    private func emitALU(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        let index = BlockEmitter.aluIndex(i.operation)
        let kind: Access = i.operation == .cmp ? .read : .modify
        switch (i.destination.kind, i.source.kind) {
        case (.register, .register):
            onRegisters(k) {
                emitSized(index << 3, size: size, reg: number(i.source), .register(number(i.destination)))
            }
        case (.register, .immediate):
            onRegisters(k) { emitALUImmediate(index, i, .register(number(i.destination))) }
        case (.register, .memory):
            access(k, Int(size), .read) { [self] rm in
                withByteRegister(i.destination) { emitSized(index << 3 | 2, size: size, reg: $0, rm) }
            }
        case (.memory, .register):
            access(k, Int(size), kind) { [self] rm in
                withByteRegister(i.source) { emitSized(index << 3, size: size, reg: $0, rm) }
            }
        default:
            access(k, Int(size), kind) { [self] rm in emitALUImmediate(index, i, rm) }
        }
    }

    private func emitALUImmediate(_ index: UInt8, _ i: Instruction, _ rm: RM) {
        let size = i.destination.size
        let value = Int32(bitPattern: i.immediate)
        let short = size == 2 ? Int32(Int16(truncatingIfNeeded: value)) : value
        if size > 1 && short >= -128 && short <= 127 {
            a.op(0x83, reg: Int(index), rm, prefix: size == 2 ? 0x66 : 0)
            a.byte(UInt8(truncatingIfNeeded: short))
        } else {
            emitSized(0x80, size: size, reg: Int(index), rm)
            emitImmediate(i.immediate, size: size)
        }
    }

    private func emitTest(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        let one = { [self] (rm: RM) in
            if i.source.kind == .immediate {
                emitSized(0xF6, size: size, reg: 0, rm)
                emitImmediate(i.immediate, size: size)
            } else if case .memory = rm {
                withByteRegister(i.source) { emitSized(0x84, size: size, reg: $0, rm) }
            } else {
                emitSized(0x84, size: size, reg: number(i.source), rm)
            }
        }
        if i.destination.isMemory {
            access(k, Int(size), .read, one)
        } else {
            onRegisters(k) { one(.register(number(i.destination))) }
        }
    }

    private func emitUnary(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        let (opcode, index): (UInt8, Int) =
            switch i.operation {
            case .inc: (0xFE, 0)
            case .dec: (0xFE, 1)
            case .not: (0xF6, 2)
            case .neg: (0xF6, 3)
            case .mul: (0xF6, 4)
            default: (0xF6, 5)
            }
        let isProduct = i.operation == .mul || i.operation == .imul1
        if i.destination.isMemory {
            access(k, Int(size), isProduct ? .read : .modify) { [self] rm in
                emitSized(opcode, size: size, reg: index, rm)
            }
        } else {
            onRegisters(k) { emitSized(opcode, size: size, reg: index, .register(number(i.destination))) }
        }
    }

    private func emitShift(_ k: Int) {
        let i = instructions[k]
        let size = i.destination.size
        let index =
            switch i.operation {
            case .rol: 0
            case .ror: 1
            case .rcl: 2
            case .rcr: 3
            case .shl: 4
            case .shr: 5
            default: 7
            }
        let one = { [self] (rm: RM) in
            if i.source.kind != .immediate {
                emitSized(0xD2, size: size, reg: index, rm)
            } else if i.immediate & 31 == 1 {
                emitSized(0xD0, size: size, reg: index, rm)
            } else {
                emitSized(0xC0, size: size, reg: index, rm)
                a.byte(UInt8(i.immediate & 31))
            }
        }
        if i.destination.isMemory {
            access(k, Int(size), .modify, one)
        } else {
            onRegisters(k) { one(.register(number(i.destination))) }
        }
    }

    /// Instructions with a register destination and a register or memory source under the escape 0F.
    private func emitToRegister(_ k: Int) {
        let i = instructions[k]
        let to = hostRegister(i.destination.index)
        let prefix: UInt8 = i.operandSize == 2 ? 0x66 : 0
        let one = { [self] (rm: RM) in a.op(i.opcode, map: 1, reg: to, rm, prefix: prefix) }
        if i.source.isMemory {
            access(k, Int(i.source.size), .read, one)
        } else {
            onRegisters(k) { one(.register(number(i.source))) }
        }
    }

    private func emitMultiplyImmediate(_ k: Int) {
        let i = instructions[k]
        let to = hostRegister(i.destination.index)
        let one = { [self] (rm: RM) in
            a.op(0x69, reg: to, rm, prefix: i.operandSize == 2 ? 0x66 : 0)
            emitImmediate(i.immediate, size: i.operandSize)
        }
        if i.source.isMemory {
            access(k, Int(i.source.size), .read, one)
        } else {
            onRegisters(k) { one(.register(number(i.source))) }
        }
    }

    private func emitDoubleShift(_ k: Int) {
        let i = instructions[k]
        let from = hostRegister(i.source.index)
        let base: UInt8 = i.operation == .shld ? 0xA4 : 0xAC
        let one = { [self] (rm: RM) in
            let byImmediate = i.third.kind == .immediate
            a.op(
                byImmediate ? base : base + 1, map: 1, reg: from, rm, prefix: i.operandSize == 2 ? 0x66 : 0)
            if byImmediate { a.byte(UInt8(truncatingIfNeeded: i.immediate)) }
        }
        if i.destination.isMemory {
            access(k, Int(i.destination.size), .modify, one)
        } else {
            onRegisters(k) { one(.register(hostRegister(i.destination.index))) }
        }
    }

    private func emitSet(_ k: Int) {
        let i = instructions[k]
        if i.destination.isMemory {
            access(k, 1, .write) { [self] rm in a.op(i.opcode, map: 1, reg: 0, rm) }
        } else {
            onRegisters(k) { a.op(i.opcode, map: 1, reg: 0, .register(Int(i.destination.index))) }
        }
    }

    private func emitPlain(_ k: Int) {
        let i = instructions[k]
        onRegisters(k) {
            switch i.operation {
            case .bswap:
                let register = hostRegister(i.destination.index)
                if register > 7 { a.byte(0x41) }
                a.byte(0x0F)
                a.byte(0xC8 | UInt8(register & 7))
            default:
                if i.operandSize == 2 && (i.operation == .cbw || i.operation == .cwd) { a.byte(0x66) }
                a.byte(i.opcode)
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// One instruction, carried out by the book: the reference that every faster way must equal.
// An instruction either completes, with EIP moved on, or throws its fault with nothing changed.

/// What the run loop has to do after an instruction.
public enum StepOutcome: Equatable, Sendable {
    /// Nothing: go on at EIP.
    case advance
    /// INT n, INT3 or INTO, EIP still at the instruction; `length` bytes long.
    case softwareInterrupt(vector: UInt8, length: UInt8)
    /// HLT at privilege 0; EIP is behind it.
    case halt
    /// VMCALL (0F 01 C1), EIP still at the instruction.
    case vmcall
    /// INT1 (ICEBP): a #DB trap, EIP behind it.
    case debugTrap
    /// A string instruction has done a part of its work; EIP still at the instruction.
    case `repeat`
}

extension CPU {
    /// Carries out `i`, whose first byte is at EIP.
    @inline(never)
    public func execute(_ i: Instruction) throws(Fault) -> StepOutcome {
        let next = eip &+ UInt32(i.length)
        switch i.operation {
        case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc, .dec, .neg, .not,
            .shl, .shr, .sar, .rol, .ror, .rcl, .rcr:
            try executeALU(i)
        case .shld, .shrd, .mul, .imul1, .imul2, .imul3, .div, .idiv, .bsf, .bsr, .bswap, .cbw, .cwd,
            .daa, .das, .aaa, .aas, .aam, .aad:
            try executeMultiply(i)
        case .bt, .bts, .btr, .btc: try executeBitTest(i)
        case .mov, .movzx, .movsx, .lea, .xchg, .cmov, .set, .xlat, .lahf, .sahf, .cmpxchg, .cmpxchg8b, .xadd,
            .movFromSegment, .movToSegment, .lds, .les, .lfs, .lgs, .lss:
            try executeMove(i)
        case .push, .pop, .pusha, .popa, .pushf, .popf, .enter, .leave, .pushSegment, .popSegment:
            try executeStack(i)
        case .movs, .cmps, .stos, .lods, .scas, .ins, .outs:
            guard try executeString(i) else { return .repeat }
        case .jcc, .jmp, .jcxz, .loop, .loope, .loopne, .call, .ret, .jmpFar, .callFar, .retFar, .iret,
            .bound:
            try executeBranch(i, next)
            return .advance
        case .int: return .softwareInterrupt(vector: UInt8(truncatingIfNeeded: i.immediate), length: i.length)
        case .int3: return .softwareInterrupt(vector: Vector.breakpoint, length: i.length)
        case .into:
            if overflow { return .softwareInterrupt(vector: Vector.overflow, length: i.length) }
        case .int1:
            eip = next
            return .debugTrap
        case .invalid, .ud: throw .invalidOpcode
        case .vmcall: return .vmcall
        case .hlt:
            guard cpl == 0 else { throw .generalProtection() }
            eip = next
            return .halt
        // Not in the manuals before 2017, but in every processor since the 8086.
        case .salc: self[r8: GPR.eax] = carry ? 0xFF : 0
        case .clc: setCarry(false)
        case .stc: setCarry(true)
        case .cmc: setCarry(!carry)
        case .cld: eflagsOther &= ~EFLAGS.df
        case .std: eflagsOther |= EFLAGS.df
        case .nop, .pause, .prefetch: break
        case .x87, .x87Memory, .mmx, .mmxMove, .mmxImmediate, .sse, .sseMemory, .sseToGeneral,
            .sseFromGeneral,
            .sseMoveMask, .sseImmediate, .sseNumeric, .sseCompare, .sseConvert, .emms, .fxsave, .fxrstor,
            .ldmxcsr,
            .stmxcsr, .wait, .maskmov, .fence, .clflush:
            try executeFloating(i)
        default:
            try executeSystem(i)
            if i.operation == .sysenter || i.operation == .sysexit { return .advance }
        }
        eip = next
        return .advance
    }

    // Operands by size

    func read<T: Word>(_ operand: Operand, _ i: Instruction, as type: T.Type = T.self) throws(Fault) -> T {
        switch operand.kind {
        case .register:
            return readRegister(Int(operand.index))
        case .memory:
            return try load(try operandAddress(i, size: UInt32(MemoryLayout<T>.size), write: false))
        case .segment:
            return T(truncatingIfNeeded: self[segment: Int(operand.index)].selector)
        default:
            return T(truncatingIfNeeded: i.immediate)
        }
    }

    /// A part of a memory operand that consists of several: far pointers, bounds.
    func loadPart<T: Word>(_ i: Instruction, at distance: UInt32) throws(Fault) -> T {
        let sum = effectiveAddress(i) &+ distance
        let offset = i.addressSize == 2 ? sum & 0xFFFF : sum
        return try load(
            try linear(Int(i.segment), offset, size: UInt32(MemoryLayout<T>.size), write: false))
    }

    func write<T: Word>(_ operand: Operand, _ i: Instruction, _ value: T) throws(Fault) {
        if operand.kind == .register {
            writeRegister(Int(operand.index), value)
        } else {
            try store(try operandAddress(i, size: UInt32(MemoryLayout<T>.size), write: true), value)
        }
    }

    /// Reads the destination, lets `body` compute, writes it back; a fault leaves everything as it was.
    @inline(__always)
    func modify<T: Word>(_ i: Instruction, _ body: (T) -> T) throws(Fault) {
        guard i.destination.isMemory else {
            writeRegister(Int(i.destination.index), body(readRegister(Int(i.destination.index))))
            return
        }
        let size = UInt32(MemoryLayout<T>.size)
        let address = try operandAddress(i, size: size, write: true)
        try probeWrite(address, size)
        try store(address, body(try load(address)))
    }

    @inlinable @inline(__always)
    public func readRegister<T: Word>(_ index: Int) -> T {
        switch T.bitWidth {
        case 8: T(truncatingIfNeeded: self[r8: index])
        default: T(truncatingIfNeeded: self[r32: index])
        }
    }

    @inlinable @inline(__always)
    public func writeRegister<T: Word>(_ index: Int, _ value: T) {
        switch T.bitWidth {
        case 8: self[r8: index] = UInt8(truncatingIfNeeded: value)
        case 16: self[r16: index] = UInt16(truncatingIfNeeded: value)
        default: self[r32: index] = UInt32(truncatingIfNeeded: value)
        }
    }
}

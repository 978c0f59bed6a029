// SPDX-License-Identifier: Apache-2.0
//
// The run loop: find the block, carry out its micro-ops one after the other, go on at EIP. It is one
// function with one switch, so that the compiler makes one jump table and keeps the few variables
// in registers; hence its length. Each case is one line of meaning; the meaning itself is in
// X86/Execute, shared with the reference path `CPU.execute`.

import GuestMemory
import X86

/// The reference engine: exact, traceable, deterministic.
public final class Interpreter: Engine {
    let cache: BlockCache
    var split = SplitCache()
    /// Not asked: leaving costs this engine nothing.
    public var edge: (any EdgeHandler)?

    public init(memory: GuestMemory) {
        cache = BlockCache(memory: memory)
    }

    public var counters: EngineCounters { cache.counters }

    public func flushCode() { cache.flush() }

    public func run(_ cpu: CPU, budget: UInt64) -> Exit {
        let limit = cpu.instructions &+ budget
        // SAFETY: `op` always points into the cache's arena, which is emptied between blocks only; each
        // block ends with a control transfer or an `end`, so it never runs past its block.
        blocks: while true {
            if cpu.attention != 0 {
                if let exit = attend(cpu) { return exit }
                if cpu.instructions >= limit { return .budget }
                continue
            }
            if cpu.instructions >= limit { return .budget }
            let blockEIP = cpu.eip
            var op: UnsafeMutablePointer<MicroOp>
            let host = cpu.executeEntry(blockEIP)
            if host != 0, let found = cache.find(host, cpu.mode) {
                op = found
            } else {
                switch locate(cpu) {
                case .block(let found): op = found
                case .stepped: continue
                case .exit(let exit): return exit
                }
            }
            do throws(Fault) {
                while true {
                    switch op.pointee.handler {
                    case .end:
                        // `number` counts this one as well, which is none.
                        cpu.eip = blockEIP &+ UInt32(op.pointee.offset)
                        cpu.instructions &+= UInt64(op.pointee.number &- 1)
                        continue blocks
                    case .generic:
                        cpu.eip = blockEIP &+ UInt32(op.pointee.offset)
                        let outcome = try cpu.execute(cache.instructions[Int(op.pointee.extra)])
                        if outcome != .advance {
                            cpu.instructions &+= UInt64(op.pointee.number)
                            if let exit = Interpreter.exit(outcome) { return exit }
                            continue blocks
                        }
                        if op.pointee.condition != 0 {
                            cpu.instructions &+= UInt64(op.pointee.number)
                            continue blocks
                        }

                    case .movRR32:
                        cpu[r32: op.dst] = cpu[r32: op.src]
                    case .movRI32:
                        cpu[r32: op.dst] = op.imm
                    case .movRM32:
                        cpu[r32: op.dst] = try cpu.load(try cpu.address(op, 4, write: false))
                    case .movMR32:
                        try cpu.store(try cpu.address(op, 4, write: true), cpu[r32: op.src])
                    case .movMI32:
                        try cpu.store(try cpu.address(op, 4, write: true), op.imm)
                    case .movRR8:
                        cpu[r8: op.dst] = cpu[r8: op.src]
                    case .movRI8:
                        cpu[r8: op.dst] = op.imm8
                    case .movRM8:
                        cpu[r8: op.dst] = try cpu.load(try cpu.address(op, 1, write: false))
                    case .movMR8:
                        try cpu.store(try cpu.address(op, 1, write: true), cpu[r8: op.src])
                    case .movMI8:
                        try cpu.store(try cpu.address(op, 1, write: true), op.imm8)
                    case .movRM16:
                        cpu[r16: op.dst] = try cpu.load(try cpu.address(op, 2, write: false))
                    case .movMR16:
                        try cpu.store(try cpu.address(op, 2, write: true), cpu[r16: op.src])
                    case .movMI16:
                        try cpu.store(try cpu.address(op, 2, write: true), op.imm16)
                    case .movzxRR8:
                        cpu[r32: op.dst] = UInt32(cpu[r8: op.src])
                    case .movzxRM8:
                        let value: UInt8 = try cpu.load(try cpu.address(op, 1, write: false))
                        cpu[r32: op.dst] = UInt32(value)
                    case .movzxRR16:
                        cpu[r32: op.dst] = UInt32(cpu[r16: op.src])
                    case .movzxRM16:
                        let value: UInt16 = try cpu.load(try cpu.address(op, 2, write: false))
                        cpu[r32: op.dst] = UInt32(value)
                    case .movsxRR8:
                        cpu[r32: op.dst] = UInt32(bitPattern: Int32(Int8(bitPattern: cpu[r8: op.src])))
                    case .movsxRM8:
                        let value: UInt8 = try cpu.load(try cpu.address(op, 1, write: false))
                        cpu[r32: op.dst] = UInt32(bitPattern: Int32(Int8(bitPattern: value)))
                    case .movsxRR16:
                        cpu[r32: op.dst] = UInt32(bitPattern: Int32(Int16(bitPattern: cpu[r16: op.src])))
                    case .movsxRM16:
                        let value: UInt16 = try cpu.load(try cpu.address(op, 2, write: false))
                        cpu[r32: op.dst] = UInt32(bitPattern: Int32(Int16(bitPattern: value)))
                    case .lea:
                        cpu[r32: op.dst] = cpu.effective(op)
                    case .xchgRR32:
                        let value = cpu[r32: op.dst]
                        cpu[r32: op.dst] = cpu[r32: op.src]
                        cpu[r32: op.src] = value
                    case .cdq:
                        cpu[r32: GPR.edx] = cpu[r32: GPR.eax] >> 31 == 0 ? 0 : UInt32.max
                    case .nop:
                        break
                    case .setR8:
                        cpu[r8: op.dst] = cpu.condition(op.condition) ? 1 : 0
                    case .cmovRR32:
                        if cpu.condition(op.condition) { cpu[r32: op.dst] = cpu[r32: op.src] }
                    case .cmovRM32:
                        let value: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        if cpu.condition(op.condition) { cpu[r32: op.dst] = value }
                    // Arithmetic and logic
                    case .addRR32:
                        cpu[r32: op.dst] = cpu.add(cpu[r32: op.dst], cpu[r32: op.src])
                    case .addRI32:
                        cpu[r32: op.dst] = cpu.add(cpu[r32: op.dst], op.imm)
                    case .addRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.add(cpu[r32: op.dst], b)
                    case .addMR32:
                        let b = cpu[r32: op.src]
                        try cpu.modify(op) { (a: UInt32) in cpu.add(a, b) }
                    case .addMI32:
                        let b = op.imm
                        try cpu.modify(op) { (a: UInt32) in cpu.add(a, b) }
                    case .orRR32:
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] | cpu[r32: op.src])
                    case .orRI32:
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] | op.imm)
                    case .orRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] | b)
                    case .orMR32:
                        let b = cpu[r32: op.src]
                        try cpu.modify(op) { (a: UInt32) in cpu.logic(a | b) }
                    case .orMI32:
                        let b = op.imm
                        try cpu.modify(op) { (a: UInt32) in cpu.logic(a | b) }
                    case .andRR32:
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] & cpu[r32: op.src])
                    case .andRI32:
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] & op.imm)
                    case .andRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] & b)
                    case .andMR32:
                        let b = cpu[r32: op.src]
                        try cpu.modify(op) { (a: UInt32) in cpu.logic(a & b) }
                    case .andMI32:
                        let b = op.imm
                        try cpu.modify(op) { (a: UInt32) in cpu.logic(a & b) }
                    case .subRR32:
                        cpu[r32: op.dst] = cpu.subtract(cpu[r32: op.dst], cpu[r32: op.src])
                    case .subRI32:
                        cpu[r32: op.dst] = cpu.subtract(cpu[r32: op.dst], op.imm)
                    case .subRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.subtract(cpu[r32: op.dst], b)
                    case .subMR32:
                        let b = cpu[r32: op.src]
                        try cpu.modify(op) { (a: UInt32) in cpu.subtract(a, b) }
                    case .subMI32:
                        let b = op.imm
                        try cpu.modify(op) { (a: UInt32) in cpu.subtract(a, b) }
                    case .xorRR32:
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] ^ cpu[r32: op.src])
                    case .xorRI32:
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] ^ op.imm)
                    case .xorRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.logic(cpu[r32: op.dst] ^ b)
                    case .xorMR32:
                        let b = cpu[r32: op.src]
                        try cpu.modify(op) { (a: UInt32) in cpu.logic(a ^ b) }
                    case .xorMI32:
                        let b = op.imm
                        try cpu.modify(op) { (a: UInt32) in cpu.logic(a ^ b) }
                    case .cmpRR32:
                        _ = cpu.subtract(cpu[r32: op.dst], cpu[r32: op.src])
                    case .cmpRI32:
                        _ = cpu.subtract(cpu[r32: op.dst], op.imm)
                    case .cmpRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        _ = cpu.subtract(cpu[r32: op.dst], b)
                    case .cmpMR32:
                        let a: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        _ = cpu.subtract(a, cpu[r32: op.src])
                    case .cmpMI32:
                        let a: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        _ = cpu.subtract(a, op.imm)
                    case .adcRR32:
                        cpu[r32: op.dst] = cpu.add(cpu[r32: op.dst], cpu[r32: op.src], carry: cpu.carryBit)
                    case .adcRI32:
                        cpu[r32: op.dst] = cpu.add(cpu[r32: op.dst], op.imm, carry: cpu.carryBit)
                    case .adcRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.add(cpu[r32: op.dst], b, carry: cpu.carryBit)
                    case .sbbRR32:
                        cpu[r32: op.dst] = cpu.subtract(
                            cpu[r32: op.dst], cpu[r32: op.src], borrow: cpu.carryBit)
                    case .sbbRI32:
                        cpu[r32: op.dst] = cpu.subtract(cpu[r32: op.dst], op.imm, borrow: cpu.carryBit)
                    case .sbbRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.subtract(cpu[r32: op.dst], b, borrow: cpu.carryBit)
                    case .testRR32:
                        _ = cpu.logic(cpu[r32: op.dst] & cpu[r32: op.src])
                    case .testRI32:
                        _ = cpu.logic(cpu[r32: op.dst] & op.imm)
                    case .testMR32:
                        let a: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        _ = cpu.logic(a & cpu[r32: op.src])
                    case .testMI32:
                        let a: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        _ = cpu.logic(a & op.imm)
                    case .addRR8:
                        cpu[r8: op.dst] = cpu.add(cpu[r8: op.dst], cpu[r8: op.src])
                    case .addRI8:
                        cpu[r8: op.dst] = cpu.add(cpu[r8: op.dst], op.imm8)
                    case .orRR8:
                        cpu[r8: op.dst] = cpu.logic(cpu[r8: op.dst] | cpu[r8: op.src])
                    case .orRI8:
                        cpu[r8: op.dst] = cpu.logic(cpu[r8: op.dst] | op.imm8)
                    case .orMI8:
                        let b = op.imm8
                        try cpu.modify(op) { (a: UInt8) in cpu.logic(a | b) }
                    case .andRR8:
                        cpu[r8: op.dst] = cpu.logic(cpu[r8: op.dst] & cpu[r8: op.src])
                    case .andRI8:
                        cpu[r8: op.dst] = cpu.logic(cpu[r8: op.dst] & op.imm8)
                    case .andMI8:
                        let b = op.imm8
                        try cpu.modify(op) { (a: UInt8) in cpu.logic(a & b) }
                    case .subRR8:
                        cpu[r8: op.dst] = cpu.subtract(cpu[r8: op.dst], cpu[r8: op.src])
                    case .subRI8:
                        cpu[r8: op.dst] = cpu.subtract(cpu[r8: op.dst], op.imm8)
                    case .xorRR8:
                        cpu[r8: op.dst] = cpu.logic(cpu[r8: op.dst] ^ cpu[r8: op.src])
                    case .cmpRR8:
                        _ = cpu.subtract(cpu[r8: op.dst], cpu[r8: op.src])
                    case .cmpRI8:
                        _ = cpu.subtract(cpu[r8: op.dst], op.imm8)
                    case .cmpRM8:
                        let b: UInt8 = try cpu.load(try cpu.address(op, 1, write: false))
                        _ = cpu.subtract(cpu[r8: op.dst], b)
                    case .cmpMR8:
                        let a: UInt8 = try cpu.load(try cpu.address(op, 1, write: false))
                        _ = cpu.subtract(a, cpu[r8: op.src])
                    case .cmpMI8:
                        let a: UInt8 = try cpu.load(try cpu.address(op, 1, write: false))
                        _ = cpu.subtract(a, op.imm8)
                    case .testRR8:
                        _ = cpu.logic(cpu[r8: op.dst] & cpu[r8: op.src])
                    case .testRI8:
                        _ = cpu.logic(cpu[r8: op.dst] & op.imm8)
                    case .testMI8:
                        let a: UInt8 = try cpu.load(try cpu.address(op, 1, write: false))
                        _ = cpu.logic(a & op.imm8)
                    case .cmpRR16:
                        _ = cpu.subtract(cpu[r16: op.dst], cpu[r16: op.src])
                    case .cmpRI16:
                        _ = cpu.subtract(cpu[r16: op.dst], op.imm16)
                    case .cmpMI16:
                        let a: UInt16 = try cpu.load(try cpu.address(op, 2, write: false))
                        _ = cpu.subtract(a, op.imm16)
                    case .incR32:
                        cpu[r32: op.dst] = cpu.increment(cpu[r32: op.dst])
                    case .decR32:
                        cpu[r32: op.dst] = cpu.decrement(cpu[r32: op.dst])
                    case .incM32:
                        try cpu.modify(op) { (a: UInt32) in cpu.increment(a) }
                    case .decM32:
                        try cpu.modify(op) { (a: UInt32) in cpu.decrement(a) }
                    case .negR32:
                        cpu[r32: op.dst] = cpu.subtract(0, cpu[r32: op.dst])
                    case .notR32:
                        cpu[r32: op.dst] = ~cpu[r32: op.dst]
                    case .shlRI32:
                        cpu[r32: op.dst] = cpu.shiftLeft(cpu[r32: op.dst], op.imm)
                    case .shlRC32:
                        cpu[r32: op.dst] = cpu.shiftLeft(cpu[r32: op.dst], cpu[r32: GPR.ecx] & 31)
                    case .shrRI32:
                        cpu[r32: op.dst] = cpu.shiftRight(cpu[r32: op.dst], op.imm)
                    case .shrRC32:
                        cpu[r32: op.dst] = cpu.shiftRight(cpu[r32: op.dst], cpu[r32: GPR.ecx] & 31)
                    case .sarRI32:
                        cpu[r32: op.dst] = cpu.shiftArithmeticRight(cpu[r32: op.dst], op.imm)
                    case .sarRC32:
                        cpu[r32: op.dst] = cpu.shiftArithmeticRight(cpu[r32: op.dst], cpu[r32: GPR.ecx] & 31)
                    case .imulRR32:
                        cpu[r32: op.dst] = cpu.multiplySigned(cpu[r32: op.dst], cpu[r32: op.src])
                    case .imulRM32:
                        let b: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        cpu[r32: op.dst] = cpu.multiplySigned(cpu[r32: op.dst], b)
                    case .imulRRI32:
                        cpu[r32: op.dst] = cpu.multiplySigned(cpu[r32: op.src], op.imm)
                    case .mulR32:
                        cpu.multiplyUnsigned(cpu[r32: op.dst])
                    case .divR32:
                        try cpu.divideUnsigned(cpu[r32: op.dst])
                    // Stack and control flow
                    case .pushR32:
                        try cpu.push32(cpu[r32: op.dst])
                    case .pushI32:
                        try cpu.push32(op.imm)
                    case .pushM32:
                        try cpu.push32(try cpu.load(try cpu.address(op, 4, write: false)))
                    case .popR32:
                        let top = cpu[r32: GPR.esp]
                        let value: UInt32 = try cpu.load(top)
                        cpu[r32: GPR.esp] = top &+ 4
                        cpu[r32: op.dst] = value
                    case .leave:
                        let frame = cpu[r32: GPR.ebp]
                        let value: UInt32 = try cpu.load(frame)
                        cpu[r32: GPR.esp] = frame &+ 4
                        cpu[r32: GPR.ebp] = value
                    case .callI:
                        try cpu.push32(blockEIP &+ op.pointee.extra)
                        cpu.take(blockEIP &+ op.imm, op)
                        continue blocks
                    case .callR:
                        let target = cpu[r32: op.dst]
                        try cpu.push32(blockEIP &+ op.pointee.extra)
                        cpu.take(target, op)
                        continue blocks
                    case .callM:
                        let target: UInt32 = try cpu.load(try cpu.address(op, 4, write: false))
                        try cpu.push32(blockEIP &+ op.pointee.extra)
                        cpu.take(target, op)
                        continue blocks
                    case .ret:
                        let top = cpu[r32: GPR.esp]
                        let target: UInt32 = try cpu.load(top)
                        cpu[r32: GPR.esp] = top &+ 4
                        cpu.take(target, op)
                        continue blocks
                    case .retI:
                        let top = cpu[r32: GPR.esp]
                        let target: UInt32 = try cpu.load(top)
                        cpu[r32: GPR.esp] = top &+ 4 &+ op.imm
                        cpu.take(target, op)
                        continue blocks
                    case .jmpI:
                        cpu.take(blockEIP &+ op.imm, op)
                        continue blocks
                    case .jmpR:
                        cpu.take(cpu[r32: op.dst], op)
                        continue blocks
                    case .jmpM:
                        cpu.take(try cpu.load(try cpu.address(op, 4, write: false)), op)
                        continue blocks
                    case .jo:
                        cpu.branch(cpu.condition(0), blockEIP, op)
                        continue blocks
                    case .jno:
                        cpu.branch(cpu.condition(1), blockEIP, op)
                        continue blocks
                    case .jb:
                        cpu.branch(cpu.condition(2), blockEIP, op)
                        continue blocks
                    case .jae:
                        cpu.branch(cpu.condition(3), blockEIP, op)
                        continue blocks
                    case .je:
                        cpu.branch(cpu.condition(4), blockEIP, op)
                        continue blocks
                    case .jne:
                        cpu.branch(cpu.condition(5), blockEIP, op)
                        continue blocks
                    case .jbe:
                        cpu.branch(cpu.condition(6), blockEIP, op)
                        continue blocks
                    case .ja:
                        cpu.branch(cpu.condition(7), blockEIP, op)
                        continue blocks
                    case .js:
                        cpu.branch(cpu.condition(8), blockEIP, op)
                        continue blocks
                    case .jns:
                        cpu.branch(cpu.condition(9), blockEIP, op)
                        continue blocks
                    case .jp:
                        cpu.branch(cpu.condition(10), blockEIP, op)
                        continue blocks
                    case .jnp:
                        cpu.branch(cpu.condition(11), blockEIP, op)
                        continue blocks
                    case .jl:
                        cpu.branch(cpu.condition(12), blockEIP, op)
                        continue blocks
                    case .jge:
                        cpu.branch(cpu.condition(13), blockEIP, op)
                        continue blocks
                    case .jle:
                        cpu.branch(cpu.condition(14), blockEIP, op)
                        continue blocks
                    case .jg:
                        cpu.branch(cpu.condition(15), blockEIP, op)
                        continue blocks
                    }
                    op += 1
                }
            } catch {
                cpu.eip = blockEIP &+ UInt32(op.pointee.offset)
                cpu.instructions &+= UInt64(op.pointee.number &- 1)
                guard error == .beyondAddressSpace else { return .exception(error) }
                if case .exit(let exit) = single(cpu) { return exit }
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// From a decoded instruction to a micro-op.

import X86

enum Lowering {
    /// The micro-op of `i` at `offset` in its block; `.generic` where no handler fits. `flat` tells
    /// that the block runs in the flat 32-bit mode that the special handlers assume.
    static func lower(_ i: Instruction, offset: Int, number: Int, flat: Bool) -> MicroOp {
        var op = MicroOp(
            handler: .generic, offset: UInt16(offset), number: UInt16(number),
            destination: i.destination.index, source: i.source.index, base: i.base, index: i.index,
            scale: i.scale, segment: segment(i), displacement: i.displacement, immediate: i.immediate,
            extra: 0, condition: i.condition)
        let plain = i.addressSize == 4 && i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual])
        if flat && plain, let handler = handler(i) {
            op.handler = handler
            let next = UInt32(offset) + UInt32(i.length)
            switch handler {
            case .callI, .jmpI, .jo, .jno, .jb, .jae, .je, .jne, .jbe, .ja, .js, .jns, .jp, .jnp, .jl, .jge,
                .jle,
                .jg:
                op.immediate = next &+ i.immediate
                op.extra = next
            case .callR, .callM: op.extra = next
            case .shlRI32, .shrRI32, .sarRI32: op.immediate = i.immediate & 31
            default: break
            }
        }
        return op
    }

    private static func segment(_ i: Instruction) -> UInt8 {
        switch Int(i.segment) {
        case SegmentIndex.ds, SegmentIndex.es, SegmentIndex.ss: UInt8(SegmentIndex.flat)
        default: i.segment
        }
    }

    private enum Form { case rr, ri, rm, mr, mi, other }

    private static func form(_ i: Instruction) -> Form {
        switch (i.destination.kind, i.source.kind) {
        case (.register, .register): .rr
        case (.register, .immediate): .ri
        case (.register, .memory): .rm
        case (.memory, .register): .mr
        case (.memory, .immediate): .mi
        default: .other
        }
    }

    private static func pick(
        _ form: Form, _ rr: Handler?, _ ri: Handler?, _ rm: Handler?, _ mr: Handler?, _ mi: Handler?
    ) -> Handler? {
        switch form {
        case .rr: rr
        case .ri: ri
        case .rm: rm
        case .mr: mr
        case .mi: mi
        case .other: nil
        }
    }

    private static func handler(_ i: Instruction) -> Handler? {
        switch i.operation {
        case .nop: return .nop
        case .lea: return i.operandSize == 4 ? .lea : nil
        case .movzx, .movsx: return extend(i)
        case .set: return i.destination.kind == .register ? .setR8 : nil
        case .jcc, .jmp, .call, .ret, .push, .pop, .leave, .cwd, .cmov, .xchg, .mul, .div, .imul2, .imul3:
            return i.operandSize == 4 ? wide(i) : nil
        default: break
        }
        switch i.destination.size {
        case 4: return wordSized(i)
        case 1: return byteSized(i)
        default: return halfSized(i)
        }
    }

    private static func extend(_ i: Instruction) -> Handler? {
        guard i.operandSize == 4 else { return nil }
        let memory = i.source.isMemory
        switch (i.operation, i.source.size) {
        case (.movzx, 1): return memory ? .movzxRM8 : .movzxRR8
        case (.movzx, _): return memory ? .movzxRM16 : .movzxRR16
        case (_, 1): return memory ? .movsxRM8 : .movsxRR8
        default: return memory ? .movsxRM16 : .movsxRR16
        }
    }

    private static let conditions: [Handler] = [
        .jo, .jno, .jb, .jae, .je, .jne, .jbe, .ja, .js, .jns, .jp, .jnp, .jl, .jge, .jle, .jg,
    ]

    private static func wide(_ i: Instruction) -> Handler? {
        let kind = i.destination.kind
        switch i.operation {
        case .jcc: return conditions[Int(i.condition)]
        case .jmp: return kind == .relative ? .jmpI : kind == .register ? .jmpR : .jmpM
        case .call: return kind == .relative ? .callI : kind == .register ? .callR : .callM
        case .ret: return kind == .immediate ? .retI : .ret
        case .push: return kind == .register ? .pushR32 : kind == .immediate ? .pushI32 : .pushM32
        case .pop: return kind == .register ? .popR32 : nil
        case .leave: return .leave
        case .cwd: return .cdq
        case .cmov: return i.source.isMemory ? .cmovRM32 : .cmovRR32
        case .xchg: return i.destination.size == 4 && form(i) == .rr ? .xchgRR32 : nil
        case .mul: return i.destination.size == 4 && kind == .register ? .mulR32 : nil
        case .div: return i.destination.size == 4 && kind == .register ? .divR32 : nil
        case .imul2: return i.source.isMemory ? .imulRM32 : .imulRR32
        default: return i.source.isMemory ? nil : .imulRRI32
        }
    }

    private static func wordSized(_ i: Instruction) -> Handler? {
        let f = form(i)
        switch i.operation {
        case .mov: return pick(f, .movRR32, .movRI32, .movRM32, .movMR32, .movMI32)
        case .add: return pick(f, .addRR32, .addRI32, .addRM32, .addMR32, .addMI32)
        case .or: return pick(f, .orRR32, .orRI32, .orRM32, .orMR32, .orMI32)
        case .and: return pick(f, .andRR32, .andRI32, .andRM32, .andMR32, .andMI32)
        case .sub: return pick(f, .subRR32, .subRI32, .subRM32, .subMR32, .subMI32)
        case .xor: return pick(f, .xorRR32, .xorRI32, .xorRM32, .xorMR32, .xorMI32)
        case .cmp: return pick(f, .cmpRR32, .cmpRI32, .cmpRM32, .cmpMR32, .cmpMI32)
        case .adc: return pick(f, .adcRR32, .adcRI32, .adcRM32, nil, nil)
        case .sbb: return pick(f, .sbbRR32, .sbbRI32, .sbbRM32, nil, nil)
        case .test: return pick(f, .testRR32, .testRI32, nil, .testMR32, .testMI32)
        case .inc: return i.destination.isMemory ? .incM32 : .incR32
        case .dec: return i.destination.isMemory ? .decM32 : .decR32
        case .neg: return i.destination.isMemory ? nil : .negR32
        case .not: return i.destination.isMemory ? nil : .notR32
        case .shl: return pick(f, .shlRC32, .shlRI32, nil, nil, nil)
        case .shr: return pick(f, .shrRC32, .shrRI32, nil, nil, nil)
        case .sar: return pick(f, .sarRC32, .sarRI32, nil, nil, nil)
        default: return nil
        }
    }

    private static func byteSized(_ i: Instruction) -> Handler? {
        let f = form(i)
        switch i.operation {
        case .mov: return pick(f, .movRR8, .movRI8, .movRM8, .movMR8, .movMI8)
        case .add: return pick(f, .addRR8, .addRI8, nil, nil, nil)
        case .or: return pick(f, .orRR8, .orRI8, nil, nil, .orMI8)
        case .and: return pick(f, .andRR8, .andRI8, nil, nil, .andMI8)
        case .sub: return pick(f, .subRR8, .subRI8, nil, nil, nil)
        case .xor: return pick(f, .xorRR8, nil, nil, nil, nil)
        case .cmp: return pick(f, .cmpRR8, .cmpRI8, .cmpRM8, .cmpMR8, .cmpMI8)
        case .test: return pick(f, .testRR8, .testRI8, nil, nil, .testMI8)
        default: return nil
        }
    }

    private static func halfSized(_ i: Instruction) -> Handler? {
        let f = form(i)
        switch i.operation {
        case .mov: return pick(f, nil, nil, .movRM16, .movMR16, .movMI16)
        case .cmp: return pick(f, .cmpRR16, .cmpRI16, nil, nil, .cmpMI16)
        default: return nil
        }
    }
}

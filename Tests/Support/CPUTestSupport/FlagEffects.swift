// SPDX-License-Identifier: Apache-2.0
//
// What each operation does to the arithmetic flags: which it reads, which it leaves undefined. This is the one
// place where a difference between two processors is forgiven (Intel SDM volume 2; AMD APM volume 3).

import X86

/// The rule of one executed instruction.
public struct FlagEffects: Equatable, Sendable {
    /// Flags whose old values the result depends on.
    public var reads: UInt32 = 0
    /// Flags with a defined new value.
    public var defines: UInt32 = 0
    /// Flags with an undefined new value.
    public var undefined: UInt32 = 0
    /// Whether the operand written is undefined, too.
    public var resultIsUndefined = false

    /// The effects of `i` in the state before it; shift counts and the like are known then.
    public init(_ i: Instruction, _ cpu: CPU) {
        let all = EFLAGS.arithmetic
        let repeats = !i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual])
        let count = i.addressSize == 2 ? UInt32(cpu[r16: GPR.ecx]) : cpu[r32: GPR.ecx]
        switch i.operation {
        case .cmps where repeats && count == 0, .scas where repeats && count == 0: break
        case .add, .sub, .cmp, .neg, .xadd, .cmpxchg, .cmps, .scas: defines = all
        case .adc, .sbb:
            reads = EFLAGS.cf
            defines = all
        case .and, .or, .xor, .test:
            undefined = EFLAGS.af
            defines = all & ~undefined
        case .inc, .dec: defines = all & ~EFLAGS.cf
        case .mul, .imul1, .imul2, .imul3:
            defines = EFLAGS.cf | EFLAGS.of
            undefined = all & ~defines
        case .div, .idiv: undefined = all
        case .bsf, .bsr:
            defines = EFLAGS.zf
            undefined = all & ~EFLAGS.zf
        case .bt, .bts, .btr, .btc:
            defines = EFLAGS.cf
            undefined = all & ~EFLAGS.cf & ~EFLAGS.zf
        case .daa, .das:
            reads = EFLAGS.cf | EFLAGS.af
            undefined = EFLAGS.of
            defines = all & ~undefined
        case .aaa, .aas:
            reads = EFLAGS.af
            defines = EFLAGS.cf | EFLAGS.af
            undefined = all & ~defines
        case .aam, .aad:
            defines = EFLAGS.sf | EFLAGS.zf | EFLAGS.pf
            undefined = all & ~defines
        case .shl, .shr, .sar, .rol, .ror, .rcl, .rcr: shift(i, cpu)
        case .shld, .shrd: doubleShift(i, cpu)
        case .jcc, .set, .cmov: reads = FlagEffects.condition(i.condition)
        case .loope, .loopne: reads = EFLAGS.zf
        case .lahf: reads = all & ~EFLAGS.of
        case .pushf: reads = all
        case .into: reads = EFLAGS.of
        case .cmc:
            reads = EFLAGS.cf
            defines = EFLAGS.cf
        case .salc: reads = EFLAGS.cf
        case .clc, .stc: defines = EFLAGS.cf
        case .sahf: defines = all & ~EFLAGS.of
        case .popf, .iret: defines = all
        case .cmpxchg8b, .arpl, .lar, .lsl, .verr, .verw: defines = EFLAGS.zf
        default: break
        }
    }

    private mutating func shift(_ i: Instruction, _ cpu: CPU) {
        let width = UInt32(i.destination.size) * 8
        let count = (i.source.kind == .register ? UInt32(cpu[r8: GPR.ecx]) : i.immediate) & 31
        let isRotate = [.rol, .ror, .rcl, .rcr].contains(i.operation)
        if i.operation == .rcl || i.operation == .rcr { reads = EFLAGS.cf }
        guard count != 0 else { return }
        undefined = count == 1 ? 0 : EFLAGS.of
        if isRotate {
            defines = EFLAGS.cf
            return
        }
        undefined |= EFLAGS.af
        if count >= width && i.operation != .sar { undefined |= EFLAGS.cf }
        defines = EFLAGS.arithmetic & ~undefined
    }

    private mutating func doubleShift(_ i: Instruction, _ cpu: CPU) {
        let width = UInt32(i.destination.size) * 8
        let count = (i.third.kind == .immediate ? i.immediate : UInt32(cpu[r8: GPR.ecx])) & 31
        guard count != 0 else { return }
        undefined = EFLAGS.af | (count == 1 ? 0 : EFLAGS.of)
        if count > width {
            undefined = EFLAGS.arithmetic
            resultIsUndefined = true
        }
        defines = EFLAGS.arithmetic & ~undefined
    }

    private static func condition(_ code: UInt8) -> UInt32 {
        switch code >> 1 {
        case 0: EFLAGS.of
        case 1: EFLAGS.cf
        case 2: EFLAGS.zf
        case 3: EFLAGS.cf | EFLAGS.zf
        case 4: EFLAGS.sf
        case 5: EFLAGS.pf
        case 6: EFLAGS.sf | EFLAGS.of
        default: EFLAGS.sf | EFLAGS.of | EFLAGS.zf
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Which instructions the translator carries out itself. All others go to the processor core.

import CHost
import X86

enum NativeSupport {
    /// Whether the x87 unit's state can be moved by itself.
    static let hasXSAVE = lguest_host_has_xsave() != 0

    /// Whether a block ends with `i`. What only might change the mode or ask for attention does not: the
    /// function that carries it out looks.
    static func endsBlock(_ i: Instruction) -> Bool {
        switch i.operation {
        case .movToSegment, .popSegment: i.destination.index == UInt8(SegmentIndex.ss)
        case .lds, .les, .lfs, .lgs, .popf, .cli, .sti, .in, .out: false
        // These may unmask floating-point exceptions.
        case .ldmxcsr, .fxrstor: true
        case .x87Memory: FloatingSupport.mayUnmask(i)
        default: i.endsBlock
        }
    }

    /// A conditional jump forwards: the block goes on behind it, where more often than not the way leads.
    static func isSideExit(_ i: Instruction) -> Bool {
        i.operation == .jcc && i.operandSize == 4 && i.immediate < 0x8000_0000
    }

    /// Whether `i` may write memory.
    static func mayWrite(_ i: Instruction) -> Bool {
        switch i.operation {
        case .cmp, .test, .bt, .jmp, .ret, .pop, .popSegment, .prefetch:
            i.operation == .pop && i.destination.isMemory
        case .push, .pushSegment, .call, .movs, .stos, .pusha, .pushf, .enter, .xchg, .maskmov: true
        default: i.destination.isMemory || i.source.isMemory && !handles(i)
        }
    }

    /// Whether `i` may raise an exception.
    static func mayFault(_ i: Instruction) -> Bool {
        switch i.operation {
        case .lea, .nop, .prefetch: false
        case .push, .pop, .pushSegment, .popSegment, .pushf, .popf, .cli, .sti, .movToSegment, .call, .ret,
            .leave, .movs, .stos, .lods, .scas,
            .div, .idiv, .rdtsc, .x87, .mmx, .mmxImmediate, .emms, .sse, .sseNumeric, .sseImmediate,
            .sseCompare,
            .sseToGeneral, .sseFromGeneral, .sseMoveMask:
            true
        default: i.destination.isMemory || i.source.isMemory || i.third.isMemory
        }
    }

    /// Whether `BlockEmitter` has code for `i` in the flat 32-bit mode.
    static func handles(_ i: Instruction) -> Bool {
        let memory = i.destination.isMemory || i.source.isMemory || i.third.isMemory
        if memory {
            guard i.addressSize == 4, i.segment != UInt8(SegmentIndex.cs) else { return false }
        }
        switch i.operation {
        case .mov:
            // Other kinds of operands than these are none of ours.
            return i.destination.kind == .register || i.destination.isMemory
        case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc, .dec, .neg, .not,
            .shl, .shr, .sar, .rol, .ror, .rcl, .rcr, .lea, .nop, .pause, .prefetch, .cbw, .cwd, .clc, .stc,
            .cmc, .cld, .std, .bswap, .set, .cmov, .cmpxchg, .xadd, .xchg, .bsf, .bsr, .imul2, .imul3,
            .mul, .imul1, .lahf, .sahf, .shld, .shrd:
            if i.operation == .bswap { return i.operandSize == 4 }
            // A high byte changes places with AL, which CMPXCHG compares.
            return !(i.operation == .cmpxchg && memory && i.source.size == 1 && i.source.index > 3)
        case .movzx, .movsx:
            // A high byte cannot be combined with the register that stands for ESP.
            return
                !(i.source.kind == .register && i.source.size == 1 && i.source.index > 3
                && i.destination.index == UInt8(GPR.esp))
        case .bt, .bts, .btr, .btc:
            return i.destination.kind == .register || i.destination.size == 4
        case .div, .idiv: return i.destination.size == 4
        case .rdtsc: return true
        case .cmpxchg8b: return i.destination.isMemory && i.destination.size == 8
        case .push: return i.operandSize == 4
        case .pop:
            // An address with ESP moves on before the segment's check.
            return i.operandSize == 4
                && !(memory && i.base == UInt8(GPR.esp) && i.segment >= UInt8(SegmentIndex.fs))
        case .pushSegment, .pushf, .popf: return i.operandSize == 4
        case .cli, .sti: return true
        case .movToSegment: return i.destination.index != UInt8(SegmentIndex.ss)
        case .popSegment: return i.operandSize == 4 && i.destination.index != UInt8(SegmentIndex.ss)
        case .movFromSegment: return i.destination.kind == .register && i.destination.size == 4
        // One processor sees its own accesses in order.
        case .fence: return true
        case .leave: return i.operandSize == 4
        case .jcc: return i.operandSize == 4
        case .jmp, .call, .ret: return i.operandSize == 4
        case .jcxz, .loop: return i.operandSize == 4 && i.addressSize == 4
        case .movs, .stos, .lods:
            let repeats = !i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual])
            return i.addressSize == 4 && !(repeats && i.operation == .lods)
                && i.segment != UInt8(SegmentIndex.fs) && i.segment != UInt8(SegmentIndex.gs)
                && i.segment != UInt8(SegmentIndex.cs)
        // Single elements, as comparisons of strings use them, and searches for a byte, which say how long a string is.
        case .scas:
            return i.addressSize == 4
                && (i.source.size == 1 || i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual]))
        default: return FloatingSupport.handles(i)
        }
    }
}

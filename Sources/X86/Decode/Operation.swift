// SPDX-License-Identifier: Apache-2.0
//
// What an instruction does, apart from where its operands are. The names in the instruction
// table are these names.

public enum Operation: String, CaseIterable, Sendable, BitwiseCopyable {
    /// Not an instruction: raises #UD.
    case invalid

    // Arithmetic and logic
    case add, or, adc, sbb, and, sub, xor, cmp, test, inc, dec, neg, not
    case mul, imul1, imul2, imul3, div, idiv
    case daa, das, aaa, aas, aam, aad
    case shl, shr, sar, rol, ror, rcl, rcr, shld, shrd
    case bt, bts, btr, btc, bsf, bsr, bswap
    case cbw, cwd

    // Moves
    case mov, movzx, movsx, lea, xchg, cmov, set, xlat, lahf, sahf
    case push, pop, pusha, popa, pushf, popf, enter, leave
    case cmpxchg, cmpxchg8b, xadd, salc
    case movFromSegment, movToSegment, pushSegment, popSegment
    case lds, les, lfs, lgs, lss

    // Strings
    case movs, cmps, stos, lods, scas, ins, outs

    // Control flow
    case jcc, jmp, jcxz, loop, loope, loopne, call, ret
    case jmpFar, callFar, retFar, iret
    case int, int3, into, int1, bound, ud

    // Flags and odds
    case clc, stc, cmc, cld, std, cli, sti
    case nop, pause, hlt, fence, prefetch

    // System
    case `in`, out
    case lgdt, lidt, sgdt, sidt, lldt, sldt, ltr, str, lmsw, smsw, clts, invlpg
    case movFromControl, movToControl, movFromDebug, movToDebug
    case wbinvd, invd, rdmsr, wrmsr, rdtsc, rdpmc, cpuid, sysenter, sysexit
    case lar, lsl, verr, verw, arpl, vmcall

    // The x87, MMX and SSE units are carried out by class; `FloatingUnit` tells them apart by opcode.
    case x87, x87Memory, mmx, sse, sseMemory, sseToGeneral, sseFromGeneral, sseMoveMask
    case emms, fxsave, fxrstor, ldmxcsr, stmxcsr, wait, maskmov, clflush
    case mmxMove, mmxImmediate, sseImmediate, sseNumeric, sseCompare, sseConvert
}

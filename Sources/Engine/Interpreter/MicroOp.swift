// SPDX-License-Identifier: Apache-2.0
//
// The interpreter's own form of an instruction: a handler number and ready-made operands. The
// frequent instructions of flat 32-bit code have handlers of their own; everything else is
// `generic` and goes through `CPU.execute`.
//
// Names: operation, operand forms (R register, M memory, I immediate, C CL), size in bits.

enum Handler: UInt16 {
    case generic
    /// End of a block that runs on into the next instruction; also what is left of a block whose
    /// bytes have been overwritten.
    case end

    case movRR32, movRI32, movRM32, movMR32, movMI32
    case movRR8, movRI8, movRM8, movMR8, movMI8, movRM16, movMR16, movMI16
    case movzxRR8, movzxRM8, movzxRR16, movzxRM16, movsxRR8, movsxRM8, movsxRR16, movsxRM16
    case lea

    case addRR32, addRI32, addRM32, addMR32, addMI32
    case orRR32, orRI32, orRM32, orMR32, orMI32
    case andRR32, andRI32, andRM32, andMR32, andMI32
    case subRR32, subRI32, subRM32, subMR32, subMI32
    case xorRR32, xorRI32, xorRM32, xorMR32, xorMI32
    case cmpRR32, cmpRI32, cmpRM32, cmpMR32, cmpMI32
    case adcRR32, adcRI32, adcRM32, sbbRR32, sbbRI32, sbbRM32
    case testRR32, testRI32, testMR32, testMI32

    case addRR8, addRI8, orRR8, orRI8, orMI8, andRR8, andRI8, andMI8, subRR8, subRI8, xorRR8
    case cmpRR8, cmpRI8, cmpRM8, cmpMR8, cmpMI8, testRR8, testRI8, testMI8
    case cmpRR16, cmpRI16, cmpMI16

    case incR32, decR32, incM32, decM32, negR32, notR32
    case shlRI32, shrRI32, sarRI32, shlRC32, shrRC32, sarRC32
    case imulRR32, imulRM32, imulRRI32, mulR32, divR32
    case cdq, nop, xchgRR32

    case pushR32, pushI32, pushM32, popR32, leave
    case callI, callR, callM, ret, retI
    case jmpI, jmpR, jmpM
    case jo, jno, jb, jae, je, jne, jbe, ja, js, jns, jp, jnp, jl, jge, jle, jg
    case setR8, cmovRR32, cmovRM32
}

struct MicroOp {
    var handler: Handler
    /// Bytes from the block's start to this instruction.
    var offset: UInt16
    /// Instructions of the block up to and including this one (`end` counts as one here).
    var number: UInt16
    var destination: UInt8
    var source: UInt8
    var base: UInt8
    var index: UInt8
    var scale: UInt8
    /// `SegmentIndex.flat`, or the segment register to check.
    var segment: UInt8
    var displacement: UInt32
    /// Immediate operand; for relative branches the target minus the start of the block.
    var immediate: UInt32
    /// For `generic`: index of the full instruction. For branches: offset of the next instruction.
    var extra: UInt32
    /// Condition code of SETcc and CMOVcc; for `generic` not zero when the block ends here.
    var condition: UInt8
}

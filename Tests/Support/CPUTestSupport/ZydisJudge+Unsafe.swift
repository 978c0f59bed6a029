// SPDX-License-Identifier: Apache-2.0
//
// Our decoder against Zydis: the same bytes must be an instruction for both, or for neither; of the same length and
// with the same operands. Where we differ on purpose is said in `ZydisJudge.expectsRefusal`.

import CZydis
import X86

/// Compares decodings. Holds one Zydis decoder for each code size.
public struct ZydisJudge {
    private var decoder32 = ZydisDecoder()
    private var decoder16 = ZydisDecoder()
    private let ours32 = Decoder(code32: true)
    private let ours16 = Decoder(code32: false)
    private static let failed: ZyanStatus = 0x8000_0000

    public init() {
        // SAFETY: plain structures of our own, initialised by the library.
        _ = ZydisDecoderInit(&decoder32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32)
        _ = ZydisDecoderInit(&decoder16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16)
    }

    public enum Verdict: Equatable {
        /// Both say the same.
        case same(isInstruction: Bool)
        /// Refused by us on purpose: an instruction that our CPUID does not announce, or one of the documented others.
        case intended
        case different(String)
    }

    /// Judges the first instruction of `bytes`: 15 or more.
    public func judge(_ bytes: UnsafeBufferPointer<UInt8>, code32: Bool) -> Verdict {
        var source = BufferBytes(bytes: bytes)
        var mine: Instruction?
        var failure: DecodeFailure?
        do throws(DecodeFailure) {
            mine = try (code32 ? ours32 : ours16).decode(&source)
        } catch {
            failure = error
        }
        var context = ZydisDecoderContext()
        var theirs = ZydisDecodedInstruction()
        // SAFETY: all pointers are to values that outlive the call; the length is the buffer's own.
        let status = withUnsafePointer(to: code32 ? decoder32 : decoder16) {
            ZydisDecoderDecodeInstruction(
                $0, &context, bytes.baseAddress, ZyanUSize(min(bytes.count, 15)), &theirs)
        }
        let valid = status & ZydisJudge.failed == 0
        guard let mine else {
            if !valid { return .same(isInstruction: false) }
            if ZydisJudge.expectsRefusal(theirs) { return .intended }
            return .different(
                "we refuse (\(failure.map { "\($0)" } ?? "")), Zydis does not: \(theirs.mnemonic.rawValue)")
        }
        guard valid else {
            return ZydisJudge.expectsAcceptance(mine)
                ? .intended : .different("we accept \(mine.operation), Zydis refuses")
        }
        if ZydisJudge.expectsRefusal(theirs) && !ZydisJudge.hasOlderMeaning(mine) {
            return .different("we accept \(mine.operation) \(mine.map) \(mine.opcode)")
        }
        if mine.length != theirs.length {
            return .different("length \(mine.length) of \(mine.operation), Zydis \(theirs.length)")
        }
        return compareOperands(mine, theirs, &context, code32)
    }

    /// Instructions that are no part of our processor.
    private static func expectsRefusal(_ i: ZydisDecodedInstruction) -> Bool {
        if i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY { return true }
        return !ours.contains(i.meta.isa_set.rawValue) || refused.contains(i.mnemonic.rawValue)
    }

    /// Encodings that processors accept and Zydis does not, or that it knows under other conditions.
    private static func expectsAcceptance(_ i: Instruction) -> Bool {
        switch i.operation {
        // Without MPX, CET and the like, 0F 18 to 0F 1F are NOPs with any operand.
        case .nop: i.map == 1
        // The hypercall of newer guests, which Zydis wants without prefixes.
        case .vmcall: true
        default: false
        }
    }

    /// What the bytes mean for a processor without a later extension: BSF for TZCNT, BSR for LZCNT, a NOP; and VMCALL,
    /// which is ours though VMX is not.
    private static func hasOlderMeaning(_ i: Instruction) -> Bool {
        switch i.operation {
        case .nop, .vmcall, .bsf, .bsr: true
        default: false
        }
    }

    private static let ours: Set<UInt32> = Set(
        [
            ZYDIS_ISA_SET_I86, ZYDIS_ISA_SET_X87, ZYDIS_ISA_SET_I186, ZYDIS_ISA_SET_I286PROTECTED,
            ZYDIS_ISA_SET_I286REAL, ZYDIS_ISA_SET_I386, ZYDIS_ISA_SET_I486, ZYDIS_ISA_SET_LAHF,
            ZYDIS_ISA_SET_I486REAL, ZYDIS_ISA_SET_PENTIUMREAL, ZYDIS_ISA_SET_PENTIUMMMX, ZYDIS_ISA_SET_PPRO,
            ZYDIS_ISA_SET_CMOV, ZYDIS_ISA_SET_FCMOV, ZYDIS_ISA_SET_FAT_NOP, ZYDIS_ISA_SET_PREFETCH_NOP,
            ZYDIS_ISA_SET_PREFETCHWT1, ZYDIS_ISA_SET_RDPMC, ZYDIS_ISA_SET_FXSAVE, ZYDIS_ISA_SET_SSE,
            ZYDIS_ISA_SET_SSEMXCSR, ZYDIS_ISA_SET_SSE_PREFETCH, ZYDIS_ISA_SET_SSE2, ZYDIS_ISA_SET_SSE2MMX,
            ZYDIS_ISA_SET_PAUSE, ZYDIS_ISA_SET_CLFSH, ZYDIS_ISA_SET_SSE3, ZYDIS_ISA_SET_SSE3X87,
            ZYDIS_ISA_SET_SSSE3, ZYDIS_ISA_SET_SSSE3MMX,
        ].map { UInt32($0.rawValue) })

    private static let refused: Set<UInt32> = [UInt32(ZYDIS_MNEMONIC_RSM.rawValue)]

    // Operands

    private func compareOperands(
        _ mine: Instruction, _ theirs: ZydisDecodedInstruction, _ context: inout ZydisDecoderContext,
        _ code32: Bool
    ) -> Verdict {
        var theirs = theirs
        let none = ZydisDecodedOperand()
        return withUnsafeTemporaryAllocation(of: ZydisDecodedOperand.self, capacity: 10) { operands in
            operands.initialize(repeating: none)
            // SAFETY: ten operands, as the library's maximum says.
            let status = withUnsafePointer(to: code32 ? decoder32 : decoder16) {
                ZydisDecoderDecodeOperands($0, &context, &theirs, operands.baseAddress, theirs.operand_count)
            }
            guard status & ZydisJudge.failed == 0 else { return .different("no operands") }
            for operand in operands.prefix(Int(theirs.operand_count_visible)) {
                if let difference = ZydisJudge.difference(mine, operand) { return .different(difference) }
            }
            return .same(isInstruction: true)
        }
    }

    private static func difference(_ mine: Instruction, _ operand: ZydisDecodedOperand) -> String? {
        let all = [mine.destination, mine.source, mine.third]
        switch operand.type {
        case ZYDIS_OPERAND_TYPE_MEMORY:
            if operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN || operand.mem.type == ZYDIS_MEMOP_TYPE_MIB { break }
            if mine.operation == .nop || mine.operation == .prefetch { return nil }
            let isString = all.contains { $0.kind == .stringSource || $0.kind == .stringDestination }
            if isString || mine.operation == .xlat { return nil }
            guard let memory = all.first(where: \.isMemory) else { return "no memory operand" }
            if memory.size != 0 && UInt16(memory.size) * 8 != operand.size && !sizeIsLoose(mine) {
                return "memory operand of \(memory.size) bytes, Zydis \(operand.size / 8)"
            }
            return address(mine, operand.mem)
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            return immediate(mine, all, operand.imm.value.u)
        case ZYDIS_OPERAND_TYPE_REGISTER:
            if [.nop, .pause, .prefetch].contains(mine.operation) { return nil }
            let id = Int(ZydisRegisterGetId(operand.reg.value))
            let has = all.contains { $0.kind != .none && !$0.isMemory && Int($0.index) == id }
            let implied = operand.encoding == ZYDIS_OPERAND_ENCODING_NONE
            return has || implied ? nil : "no register \(id)"
        default: break
        }
        return nil
    }

    private static func immediate(_ mine: Instruction, _ all: [Operand], _ value: UInt64) -> String? {
        guard let own = all.first(where: { $0.kind == .immediate || $0.kind == .relative }) else {
            return "no immediate"
        }
        let mask: UInt64 = own.size == 1 ? 0xFF : own.size == 2 ? 0xFFFF : 0xFFFF_FFFF
        if UInt64(mine.immediate) & mask == value & mask { return nil }
        // ENTER has two.
        if mine.operation == .enter && UInt64(mine.immediate2) == value & 0xFF { return nil }
        return "immediate of \(mine.operation)"
    }

    /// Operations whose operand size Zydis describes in another way than we need it.
    private static func sizeIsLoose(_ i: Instruction) -> Bool {
        switch i.operation {
        case .sse, .sseMemory, .sseMoveMask, .sseConvert, .sseNumeric, .sseCompare, .sseImmediate, .mmx,
            .mmxMove,
            .x87Memory, .prefetch, .lar, .lsl, .ud, .clflush, .sseFromGeneral, .sseToGeneral, .mmxImmediate:
            true
        default: false
        }
    }

    private static func address(_ mine: Instruction, _ mem: ZydisDecodedOperandMem) -> String? {
        func number(_ register: ZydisRegister) -> UInt8 {
            register == ZYDIS_REGISTER_NONE ? UInt8(GPR.zero) : UInt8(ZydisRegisterGetId(register))
        }
        let (base, index) = (number(mem.base), number(mem.index))
        // A 16-bit address of SI or DI alone: an index for us.
        if mine.addressSize == 2 && mine.base == UInt8(GPR.zero) && base == mine.index && index == mine.base {
            return displacement(mine, mem)
        }
        if base != mine.base || index != mine.index { return "address registers" }
        if index != UInt8(GPR.zero) && UInt32(mem.scale) != 1 << UInt32(mine.scale) { return "scale" }
        return displacement(mine, mem)
    }

    private static func displacement(_ mine: Instruction, _ mem: ZydisDecodedOperandMem) -> String? {
        let mask: UInt32 = mine.addressSize == 2 ? 0xFFFF : 0xFFFF_FFFF
        if UInt32(truncatingIfNeeded: mem.disp.value) & mask != mine.displacement & mask {
            return "displacement"
        }
        // 3E before an indirect branch is NOTRACK only for a processor with CET.
        let mayBeNoTrack = mine.operation == .jmp || mine.operation == .call
        if UInt8(ZydisRegisterGetId(mem.segment)) != mine.segment && !mayBeNoTrack { return "segment" }
        return nil
    }
}

/// Bytes of a buffer for our decoder.
private struct BufferBytes: ByteSource {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0

    mutating func next() throws(Fault) -> UInt8 {
        guard position < bytes.count else { throw Fault(vector: Vector.pageFault) }
        // SAFETY: checked just above.
        let byte = bytes[position]
        position += 1
        return byte
    }
}

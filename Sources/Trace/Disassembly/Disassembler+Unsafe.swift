// SPDX-License-Identifier: Apache-2.0
//
// The calls into Zydis 4, a C library that wants pointers.

import CZydis

extension Disassembler {
    /// What Zydis says about one instruction.
    struct Formatted {
        let text: String
        let length: Int
        let target: UInt32?
        /// Whether the code segment's default size is 32 bits.
        let is32: Bool
        /// Whether `target` is where a relative jump or call goes.
        let isRelative: Bool
        /// Bits of the memory operand, 0 without one.
        let memoryBits: Int
        /// Bits of the first operand in Intel's order, which is the destination.
        let destinationBits: Int
        /// Bits of the second operand, the source of a move.
        let sourceBits: Int
    }

    /// Decodes and formats the first instruction of `bytes`; nil when it is none.
    func format(_ bytes: [UInt8], at address: UInt32, codeSize: CodeSize) -> Formatted? {
        var decoder = ZydisDecoder()
        var formatter = ZydisFormatter()
        var instruction = ZydisDecodedInstruction()
        let is32 = codeSize == .bits32
        let none = ZydisDecodedOperand()
        var operands = [ZydisDecodedOperand](repeating: none, count: Int(ZYDIS_MAX_OPERAND_COUNT))
        var text = [CChar](repeating: 0, count: 256)

        // SAFETY: all arguments are local values that outlive the calls, arrays are passed with their own
        // count (`operands` has ZYDIS_MAX_OPERAND_COUNT, as DecodeFull requires), and Zydis keeps no
        // pointer. It ends `text` with a zero byte within the length given.
        guard
            ZydisDecoderInit(
                &decoder, is32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
                is32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16) & Self.failed == 0,
            ZydisDecoderDecodeFull(&decoder, bytes, ZyanUSize(bytes.count), &instruction, &operands)
                & Self.failed == 0,
            ZydisFormatterInit(
                &formatter, syntax == .att ? ZYDIS_FORMATTER_STYLE_ATT : ZYDIS_FORMATTER_STYLE_INTEL)
                & Self.failed == 0
        else { return nil }
        Self.setProperties(&formatter)
        // SAFETY: as above.
        guard
            ZydisFormatterFormatInstruction(
                &formatter, &instruction, operands, instruction.operand_count_visible, &text,
                ZyanUSize(text.count), ZyanU64(address), nil) & Self.failed == 0
        else { return nil }
        let visible = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return Formatted(
            text: String(decoding: visible, as: UTF8.self), length: Int(instruction.length),
            target: Self.target(instruction, operands, at: address),
            is32: is32, isRelative: instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE != 0,
            memoryBits: Int(operands.first { $0.type == ZYDIS_OPERAND_TYPE_MEMORY }?.size ?? 0),
            destinationBits: Int(operands[0].size), sourceBits: Int(operands[1].size))
    }

    /// The bit of a Zydis status that means failure.
    private static let failed: ZyanStatus = 0x8000_0000

    private static func setProperties(_ formatter: inout ZydisFormatter) {
        let properties: [(ZydisFormatterProperty, ZyanUPointer)] = [
            (ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, 0),
            (ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZyanUPointer(ZYDIS_PADDING_DISABLED.rawValue)),
            (ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZyanUPointer(ZYDIS_PADDING_DISABLED.rawValue)),
            (ZYDIS_FORMATTER_PROP_DISP_PADDING, ZyanUPointer(ZYDIS_PADDING_DISABLED.rawValue)),
            (ZYDIS_FORMATTER_PROP_IMM_SIGNEDNESS, ZyanUPointer(ZYDIS_SIGNEDNESS_UNSIGNED.rawValue)),
            (ZYDIS_FORMATTER_PROP_IMM_PADDING, ZyanUPointer(ZYDIS_PADDING_DISABLED.rawValue)),
        ]
        for (property, value) in properties {
            // SAFETY: the formatter was initialised; none of these values is a pointer.
            _ = ZydisFormatterSetProperty(&formatter, property, value)
        }
    }

    /// The absolute address that an instruction names, if it does.
    private static func target(
        _ instruction: ZydisDecodedInstruction, _ operands: [ZydisDecodedOperand], at address: UInt32
    ) -> UInt32? {
        for operand in operands.prefix(Int(instruction.operand_count_visible)) {
            let isRelative = operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative != 0
            let isPlainMemory =
                operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_NONE
                && operand.mem.index == ZYDIS_REGISTER_NONE
                && operand.mem.segment != ZYDIS_REGISTER_FS && operand.mem.segment != ZYDIS_REGISTER_GS
            guard isRelative || isPlainMemory else { continue }
            var result: ZyanU64 = 0
            var (instruction, operand) = (instruction, operand)
            // SAFETY: three local values that outlive the call.
            if ZydisCalcAbsoluteAddress(&instruction, &operand, ZyanU64(address), &result) & failed == 0 {
                return UInt32(truncatingIfNeeded: result)
            }
        }
        return nil
    }
}

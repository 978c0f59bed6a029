// SPDX-License-Identifier: Apache-2.0
//
// Machine code as people read it, for reports and traces. Zydis does the work; this file is our view
// of it: one instruction at a time, in AT&T syntax as kernel people know it from objdump, or in Intel's.

import Support

/// One disassembled instruction.
public struct DisassembledInstruction: Equatable, Sendable {
    /// The instruction in the chosen syntax: `mov %gs:0x14,%eax`; `(bad)` for bytes that are none.
    public let text: String
    /// How many bytes it has; of a bad one 1.
    public let length: Int
    /// False when the bytes are no instruction, or too few for it.
    public let isValid: Bool
    /// Where a direct jump or call goes, else the address of a memory operand without
    /// registers; nil when there is neither.
    public let target: UInt32?

    public init(text: String, length: Int, isValid: Bool, target: UInt32?) {
        self.text = text
        self.length = length
        self.isValid = isValid
        self.target = target
    }
}

/// Turns bytes into text. Cheap to make, safe to share.
public struct Disassembler: Sendable {
    public enum Syntax: Sendable { case att, intel }
    /// The code segment's default operand and address size (its D bit).
    public enum CodeSize: Sendable { case bits16, bits32 }

    public let syntax: Syntax
    /// With symbols, targets are named: `call 0xc1000000 <startup_32>`.
    public let symbols: SymbolTable?

    public init(syntax: Syntax = .att, symbols: SymbolTable? = nil) {
        self.syntax = syntax
        self.symbols = symbols
    }

    /// Disassembles the first instruction of `bytes` (15 are enough), which stands at `address`: the
    /// instruction pointer of the guest, as relative jumps count from it.
    public func instruction(
        _ bytes: [UInt8], at address: UInt32, codeSize: CodeSize = .bits32
    ) -> DisassembledInstruction {
        guard let decoded = format(bytes, at: address, codeSize: codeSize) else {
            return DisassembledInstruction(text: "(bad)", length: 1, isValid: false, target: nil)
        }
        var text = syntax == .att ? ATTSpelling.objdump(decoded) : decoded.text
        if let target = decoded.target, let place = symbols?.lookup(target) { text += " <\(place)>" }
        return DisassembledInstruction(
            text: text, length: decoded.length, isValid: true, target: decoded.target)
    }

    /// Disassembles all of `bytes`, the first of which stands at `address`, one bad byte after the other where
    /// there is no instruction. At most `limit` instructions.
    public func listing(
        _ bytes: [UInt8], at address: UInt32, codeSize: CodeSize = .bits32, limit: Int = .max
    ) -> [(address: UInt32, instruction: DisassembledInstruction)] {
        var lines: [(address: UInt32, instruction: DisassembledInstruction)] = []
        var offset = 0
        while offset < bytes.count && lines.count < limit {
            let place = address &+ UInt32(truncatingIfNeeded: offset)
            let window = Array(bytes[offset..<min(offset + 15, bytes.count)])
            let line = instruction(window, at: place, codeSize: codeSize)
            lines.append((place, line))
            offset += line.length
        }
        return lines
    }
}

extension Sequence<UInt8> {
    /// The bytes as in a listing: `65 a1 14 00 00 00`.
    public var asHexBytes: String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}

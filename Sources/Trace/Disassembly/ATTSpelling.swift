// SPDX-License-Identifier: Apache-2.0
//
// Zydis writes AT&T operands with Intel's mnemonics (`movzxb`, `stosd`, `jnz`). People who read kernels know
// objdump's and the GNU assembler's spelling (`movzbl`, `stosl`, `jne`); this file translates.

import Support

enum ATTSpelling {
    /// The instruction as objdump writes it.
    static func objdump(_ decoded: Disassembler.Formatted) -> String {
        var words = decoded.text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        guard let place = words.firstIndex(where: { !prefixes.contains($0) }) else { return decoded.text }
        let operands = words[(place + 1)...].joined()
        words.removeSubrange((place + 1)...)
        words[place] = mnemonic(words[place], decoded, operands: operands)
        if !operands.isEmpty { words.append(spelled(operands, of: words[place], decoded)) }
        return words.joined(separator: " ")
    }

    private static let prefixes: Set<String> = [
        "lock", "rep", "repe", "repz", "repne", "repnz", "bnd", "xacquire", "xrelease", "notrack",
    ]

    private static func mnemonic(_ name: String, _ decoded: Disassembler.Formatted, operands: String)
        -> String
    {
        // With operands, movsd and cmpsd are SSE instructions.
        if operands.isEmpty, let spelled = withoutOperands[name] { return spelled }
        if let plain = sized[name] { return decoded.is32 ? plain : plain + "l" }
        if sized.values.contains(name) { return decoded.is32 ? name + "w" : name }
        if let spelled = conditions[name] { return spelled }
        if name.hasPrefix("movzx") || name.hasPrefix("movsx") {
            return widening(name, decoded)
        }
        if oneOperand.contains(name) && isOneMemoryOperand(operands) {
            return name + ([8: "b", 16: "w", 32: "l"][decoded.memoryBits] ?? "")
        }
        return name + floatingPointSuffix(name, decoded.memoryBits)
    }

    /// Instructions whose operand size shows nowhere else when their only operand is in memory.
    private static let oneOperand: Set<String> = ["inc", "dec", "neg", "not", "mul", "imul", "div", "idiv"]

    private static func isOneMemoryOperand(_ operands: String) -> Bool {
        var depth = 0
        for character in operands {
            switch character {
            case "(": depth += 1
            case ")": depth -= 1
            case "," where depth == 0: return false
            default: continue
            }
        }
        return !operands.hasPrefix("%") || operands.contains(":")
    }

    /// The dollars of far jumps, and the star of indirect ones.
    private static func spelled(_ operands: String, of name: String, _ decoded: Disassembler.Formatted)
        -> String
    {
        switch name {
        case "call", "jmp":
            return decoded.isRelative || operands.hasPrefix("*") ? operands : "*" + operands
        case "lcall", "ljmp":
            let parts = operands.split(separator: ":")
            guard parts.count == 2, let selector = hexadecimal(parts[0]), let offset = hexadecimal(parts[1])
            else {
                return operands.hasPrefix("*") ? operands : "*" + operands
            }
            return "$\(selector),$\(offset)"
        default:
            return operands
        }
    }

    private static func hexadecimal(_ text: Substring) -> String? {
        guard text.hasPrefix("0x") else { return nil }
        return UInt32(text.dropFirst(2), radix: 16)?.asHex
    }

    /// `movzbl`, `movswl` …: source size, then destination size.
    private static func widening(_ name: String, _ decoded: Disassembler.Formatted) -> String {
        let letters = [8: "b", 16: "w", 32: "l"]
        guard let from = letters[decoded.sourceBits], let to = letters[decoded.destinationBits] else {
            return name
        }
        return name.prefix(4) + from + to
    }

    /// x87 memory operands: `flds`/`fldl`/`fldt` for 32/64/80 bits, `filds`/`fildl`/`fildll` for integers.
    private static func floatingPointSuffix(_ name: String, _ bits: Int) -> String {
        guard bits > 0 else { return "" }
        if floats.contains(name) { return [32: "s", 64: "l", 80: "t"][bits] ?? "" }
        if integers.contains(name) { return [16: "s", 32: "l", 64: "ll"][bits] ?? "" }
        return ""
    }

    private static let floats: Set<String> = [
        "fld", "fst", "fstp", "fadd", "fsub", "fsubr", "fmul", "fdiv", "fdivr", "fcom", "fcomp",
    ]
    private static let integers: Set<String> = [
        "fild", "fist", "fistp", "fisttp", "fiadd", "fisub", "fisubr", "fimul", "fidiv", "fidivr", "ficom",
        "ficomp",
    ]

    private static let withoutOperands: [String: String] = [
        "stosd": "stosl", "movsd": "movsl", "lodsd": "lodsl", "scasd": "scasl", "cmpsd": "cmpsl",
        "insd": "insl",
        "outsd": "outsl", "cwde": "cwtl", "cdq": "cltd", "cbw": "cbtw", "cwd": "cwtd",
    ]

    /// Named without a suffix where they have the code segment's size.
    private static let sized: [String: String] = [
        "iretd": "iret", "pushfd": "pushf", "popfd": "popf", "pushad": "pusha", "popad": "popa",
    ]

    private static let conditions: [String: String] = {
        let pairs = [
            ("z", "e"), ("nz", "ne"), ("nb", "ae"), ("nbe", "a"), ("nl", "ge"), ("nle", "g"),
        ]
        var table: [String: String] = [:]
        for name in ["j", "set", "cmov"] {
            for (intel, gnu) in pairs { table[name + intel] = name + gnu }
        }
        return table
    }()
}

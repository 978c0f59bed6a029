// SPDX-License-Identifier: Apache-2.0
//
// The instruction table in use: the rows of `InstructionRows*.swift` expanded so that the decoder
// needs one lookup. Opcode map, opcode, mandatory prefix and the ModRM class (register or memory
// form, reg field) select an entry.

/// How an operand is encoded; the names of the cases are the words in the rows.
public enum OperandSpec: String, CaseIterable, Sendable {
    case none = ""
    // ModRM.rm: register or memory. b 8, w 16, d 32 bits; v the operand size; y 32 (64 with REX.W)
    case Eb, Ew, Ed, Ev
    // ModRM.rm, memory only; M has no size of its own
    case M, Mb, Mw, Md, Mq, Mt, Mo, Mv, Mp, Ma
    // ModRM.rm, register only
    case Rd, Rv
    // ModRM.reg
    case Gb, Gw, Gd, Gv
    // low three bits of the opcode
    case Zb, Zv
    // immediates: s sign-extended byte, z at most 32 bits
    case Ib, Is, Iw, Iz, I1
    // relative targets, absolute offsets, far pointers
    case Jb, Jz, Ob, Ov, Ap
    // fixed registers
    case AL, CL, DX, AX, Av
    // segment, control, debug registers in ModRM.reg; fixed segment registers
    case Sw, Cd, Dd, ES, CS, SS, DS, FS, GS
    // strings
    case Xb, Xv, Yb, Yv
    // x87, MMX and SSE: by ModRM.reg (P, V), register or memory (Q, W), register only (N, U)
    case ST, STi
    case Pq, Qd, Qq, Nq
    case Vo, Wd, Wq, Wo, Uo, Wb, Ww
}

public struct TableEntry: Sendable {
    public var operation: Operation
    public var operands: (OperandSpec, OperandSpec, OperandSpec)
    public var isLockable: Bool
    /// The source line, for tests and listings.
    public var row: String
}

public final class InstructionTable: Sendable {
    public static let shared = InstructionTable()

    /// All rows, in order; entry 0 is the invalid instruction.
    public let entries: [TableEntry]
    /// Opcodes (map × 256 + opcode) followed by a ModRM byte.
    let hasModRM: [Bool]
    /// Index into `entries` by ((map × 256 + opcode) × 4 + prefix) × 16 + form × 8 + reg.
    let index: [UInt16]
    /// Register forms told apart by the whole ModRM byte: (map × 256 + opcode) × 64 + (modRM & 63).
    let exact: [Int: UInt16]
    let hasExact: [Bool]

    init() {
        var entries = [
            TableEntry(operation: .invalid, operands: (.none, .none, .none), isLockable: false, row: "")
        ]
        var hasModRM = [Bool](repeating: false, count: 1024)
        var index = [UInt16](repeating: 0, count: 1024 * 64)
        var exact: [Int: UInt16] = [:]
        var hasExact = [Bool](repeating: false, count: 1024)

        for line in InstructionRows.all.split(separator: "\n") {
            guard let row = Row(line) else { continue }
            let entry = UInt16(entries.count)
            entries.append(row.entry)
            for opcode in row.opcodes {
                if let modRM = row.modRM {
                    exact[opcode * 64 + modRM & 63] = entry
                    hasModRM[opcode] = true
                    hasExact[opcode] = true
                    continue
                }
                if row.needsModRM { hasModRM[opcode] = true }
                for prefix in row.prefixes {
                    for form in row.forms {
                        for reg in row.regs { index[(opcode * 4 + prefix) * 16 + form * 8 + reg] = entry }
                    }
                }
            }
        }
        self.entries = entries
        self.hasModRM = hasModRM
        self.index = index
        self.exact = exact
        self.hasExact = hasExact
    }

    @inline(__always)
    func lookup(opcode: Int, prefix: Int, modRM: UInt8) -> TableEntry {
        if modRM >= 0xC0 && hasExact[opcode], let found = exact[opcode * 64 + Int(modRM & 63)] {
            return entries[Int(found)]
        }
        let form = modRM >= 0xC0 ? 8 : 0
        return entries[Int(index[(opcode * 4 + prefix) * 16 + form + Int(modRM >> 3 & 7)])]
    }
}

/// One line of the table: `[66|F3|F2|NP] [0F]xx[/r][m|r] | [0F]xx.mm operation operands [L]`.
private struct Row {
    var opcodes: [Int] = []
    var prefixes = [0, 1, 2, 3]
    var forms = [0, 1]
    var regs = Array(0..<8)
    var modRM: Int?
    var needsModRM = false
    var entry: TableEntry

    init?(_ line: Substring) {
        var words = line.split(separator: " ")[...]
        guard var code = words.first, code.first != "#" else { return nil }
        words = words.dropFirst()
        switch code {
        case "NP": prefixes = [0]
        case "66": prefixes = [1]
        case "F3": prefixes = [2]
        case "F2": prefixes = [3]
        default: break
        }
        if prefixes.count == 1 {
            code = words.first ?? ""
            words = words.dropFirst()
        }
        if code.hasSuffix("m") {
            forms = [0]
            code = code.dropLast()
            needsModRM = true
        } else if code.hasSuffix("r") {
            forms = [1]
            code = code.dropLast()
            needsModRM = true
        }
        if let slash = code.firstIndex(of: "/") {
            guard let digit = Int(code[code.index(after: slash)...]) else { return nil }
            regs = [digit]
            code = code[..<slash]
            needsModRM = true
        }
        if let dot = code.firstIndex(of: ".") {
            modRM = Int(code[code.index(after: dot)...], radix: 16)
            code = code[..<dot]
        }
        var count = 1
        if let plus = code.firstIndex(of: "+") {
            count = Int(code[code.index(after: plus)...]) ?? 1
            code = code[..<plus]
        }
        var map = 0
        if code.hasPrefix("0F38") && code.count == 6 {
            map = 2
            code = code.dropFirst(4)
        } else if code.hasPrefix("0F3A") && code.count == 6 {
            map = 3
            code = code.dropFirst(4)
        } else if code.count == 4 {
            map = 1
            code = code.dropFirst(2)
        }
        guard let first = Int(code, radix: 16), let name = words.first,
            let operation = Operation(rawValue: String(name))
        else { return nil }
        opcodes = (0..<count).map { map * 256 + first + $0 }
        words = words.dropFirst()
        var specs: [OperandSpec] = []
        var lockable = false
        for word in words {
            if word == "L" {
                lockable = true
                continue
            }
            specs += word.split(separator: ",").compactMap { OperandSpec(rawValue: String($0)) }
        }
        if specs.contains(where: \.usesModRM) { needsModRM = true }
        while specs.count < 3 { specs.append(.none) }
        entry = TableEntry(
            operation: operation, operands: (specs[0], specs[1], specs[2]), isLockable: lockable,
            row: String(line))
    }
}

extension OperandSpec {
    /// Whether the operand is encoded in a ModRM byte.
    var usesModRM: Bool {
        switch self {
        case .none, .Zb, .Zv, .Ib, .Is, .Iw, .Iz, .I1, .Jb, .Jz, .Ob, .Ov, .Ap, .AL, .CL, .DX, .AX, .Av,
            .ES, .CS, .SS, .DS, .FS, .GS, .Xb, .Xv, .Yb, .Yv, .ST, .STi:
            false
        default: true
        }
    }
}

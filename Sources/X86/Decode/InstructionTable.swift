// SPDX-License-Identifier: Apache-2.0
//
// The instruction table in use: the rows of `InstructionRows*.swift` expanded so that the decoder
// needs one lookup. Opcode map, opcode, mandatory prefix and the ModRM class (register or memory
// form, reg field) select an entry.

/// How an operand is encoded; the names of the cases are the words in the rows.
public enum OperandSpec: String, CaseIterable, Sendable, BitwiseCopyable {
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

/// What the decoder needs of a row; nothing in it is counted.
struct DecodedRow: Sendable, BitwiseCopyable {
    var operation: Operation
    var operands: (OperandSpec, OperandSpec, OperandSpec)
    var isLockable: Bool
}

/// One row of the table.
public struct TableEntry: Sendable {
    public var operation: Operation
    public var operands: (OperandSpec, OperandSpec, OperandSpec)
    public var isLockable: Bool
    /// How it is encoded, for tests and listings.
    public var encoding: Encoding

    /// The left-hand side of a row.
    public struct Encoding: Sendable {
        /// Opcode map and first opcode: map × 256 + opcode; `count` opcodes follow each other.
        public var opcode = 0
        public var count = 1
        /// Which mandatory prefixes select the row: 0 none, 1 66, 2 F3, 3 F2; all four when it takes none.
        public var prefixes = [0, 1, 2, 3]
        /// 0: memory form, 1: register form.
        public var forms = [0, 1]
        /// Values of ModRM.reg.
        public var regs = Array(0..<8)
        /// The whole ModRM byte, where that is part of the opcode.
        public var modRM: UInt8?
        public var hasModRM = false
        /// The source line.
        public var row = ""
    }
}

public final class InstructionTable: Sendable {
    public static let shared = InstructionTable()

    /// All rows, in order; entry 0 is the invalid instruction.
    public let entries: [TableEntry]
    private let rows: [DecodedRow]
    /// Opcodes (map × 256 + opcode) followed by a ModRM byte.
    let hasModRM: [Bool]
    /// Index into `entries` by ((map × 256 + opcode) × 4 + prefix) × 16 + form × 8 + reg.
    let index: [UInt16]
    /// Register forms told apart by the whole ModRM byte: (map × 256 + opcode) × 64 + (modRM & 63).
    let exact: [Int: UInt16]
    let hasExact: [Bool]

    init() {
        var entries = [
            TableEntry(
                operation: .invalid, operands: (.none, .none, .none), isLockable: false,
                encoding: TableEntry.Encoding())
        ]
        var hasModRM = [Bool](repeating: false, count: 1024)
        var index = [UInt16](repeating: 0, count: 1024 * 64)
        var exact: [Int: UInt16] = [:]
        var hasExact = [Bool](repeating: false, count: 1024)

        for line in InstructionRows.all.split(separator: "\n") {
            guard let parsed = Row(line) else { continue }
            let entry = UInt16(entries.count)
            entries.append(parsed.entry)
            let row = parsed.entry.encoding
            for opcode in row.opcode..<row.opcode + row.count {
                if row.hasModRM { hasModRM[opcode] = true }
                if let modRM = row.modRM {
                    exact[opcode * 64 + Int(modRM & 63)] = entry
                    hasExact[opcode] = true
                    continue
                }
                for prefix in row.prefixes {
                    for form in row.forms {
                        for reg in row.regs { index[(opcode * 4 + prefix) * 16 + form * 8 + reg] = entry }
                    }
                }
            }
        }
        self.entries = entries
        rows = entries.map {
            DecodedRow(operation: $0.operation, operands: $0.operands, isLockable: $0.isLockable)
        }
        self.hasModRM = hasModRM
        self.index = index
        self.exact = exact
        self.hasExact = hasExact
    }

    @inline(__always)
    func lookup(opcode: Int, prefix: Int, modRM: UInt8) -> DecodedRow {
        if modRM >= 0xC0 && hasExact[opcode], let found = exact[opcode * 64 + Int(modRM & 63)] {
            return rows[Int(found)]
        }
        let form = modRM >= 0xC0 ? 8 : 0
        return rows[Int(index[(opcode * 4 + prefix) * 16 + form + Int(modRM >> 3 & 7)])]
    }
}

/// One line of the table: `[66|F3|F2|NP] [0F]xx[/r][m|r] | [0F]xx.mm operation operands [L]`.
private struct Row {
    var entry: TableEntry

    init?(_ line: Substring) {
        var words = line.split(separator: " ")[...]
        guard var code = words.first, code.first != "#" else { return nil }
        var encoding = TableEntry.Encoding()
        encoding.row = String(line)
        words = words.dropFirst()
        switch code {
        case "NP": encoding.prefixes = [0]
        case "66": encoding.prefixes = [1]
        case "F3": encoding.prefixes = [2]
        case "F2": encoding.prefixes = [3]
        default: break
        }
        if encoding.prefixes.count == 1 {
            code = words.first ?? ""
            words = words.dropFirst()
        }
        if code.hasSuffix("m") {
            encoding.forms = [0]
            code = code.dropLast()
            encoding.hasModRM = true
        } else if code.hasSuffix("r") {
            encoding.forms = [1]
            code = code.dropLast()
            encoding.hasModRM = true
        }
        if let slash = code.firstIndex(of: "/") {
            guard let digit = Int(code[code.index(after: slash)...]) else { return nil }
            encoding.regs = [digit]
            code = code[..<slash]
            encoding.hasModRM = true
        }
        if let dot = code.firstIndex(of: ".") {
            encoding.modRM = UInt8(code[code.index(after: dot)...], radix: 16)
            encoding.hasModRM = true
            code = code[..<dot]
        }
        if let plus = code.firstIndex(of: "+") {
            encoding.count = Int(code[code.index(after: plus)...]) ?? 1
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
        encoding.opcode = map * 256 + first
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
        if specs.contains(where: \.usesModRM) { encoding.hasModRM = true }
        while specs.count < 3 { specs.append(.none) }
        entry = TableEntry(
            operation: operation, operands: (specs[0], specs[1], specs[2]), isLockable: lockable,
            encoding: encoding)
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

// SPDX-License-Identifier: Apache-2.0
//
// Bytes to `Instruction`. The decoder never reads memory itself: the caller provides bytes one by
// one, so that a fetch beyond the end of a page can fault exactly where the processor would.

/// Why bytes could not be decoded.
public enum DecodeFailure: Error, Equatable, Sendable {
    /// Not an instruction: #UD.
    case invalid
    /// More than 15 bytes: #GP(0).
    case tooLong
    /// The byte source raised a fault (page fault or segment limit).
    case fetch(Fault)
}

/// Gives the instruction bytes from the current address on.
public protocol ByteSource {
    mutating func next() throws(Fault) -> UInt8
}

public struct Decoder {
    let table = InstructionTable.shared
    /// Default operand and address size in bytes.
    let defaultSize: UInt8

    /// `code32`: the D bit of the code segment.
    public init(code32: Bool) {
        defaultSize = code32 ? 4 : 2
    }

    /// Decodes one instruction.
    public func decode<Source: ByteSource>(_ source: inout Source) throws(DecodeFailure) -> Instruction {
        var reader = Reader(source)
        defer { source = reader.source }
        var i = Instruction()
        i.operandSize = defaultSize
        i.addressSize = defaultSize
        var override: UInt8?
        var byte = try reader.byte()
        prefixes: while true {
            switch byte {
            case 0x26: override = UInt8(SegmentIndex.es)
            case 0x2E: override = UInt8(SegmentIndex.cs)
            case 0x36: override = UInt8(SegmentIndex.ss)
            case 0x3E: override = UInt8(SegmentIndex.ds)
            case 0x64: override = UInt8(SegmentIndex.fs)
            case 0x65: override = UInt8(SegmentIndex.gs)
            case 0x66: i.prefixes.insert(.operandSize)
            case 0x67: i.prefixes.insert(.addressSize)
            case 0xF0: i.prefixes.insert(.lock)
            case 0xF2:
                i.prefixes.insert(.repeatNotEqual)
                i.prefixes.remove(.repeatEqual)
            case 0xF3:
                i.prefixes.insert(.repeatEqual)
                i.prefixes.remove(.repeatNotEqual)
            default: break prefixes
            }
            byte = try reader.byte()
        }
        if override != nil { i.prefixes.insert(.segment) }
        if i.prefixes.contains(.operandSize) { i.operandSize = 6 - defaultSize }
        if i.prefixes.contains(.addressSize) { i.addressSize = 6 - defaultSize }
        if byte == 0x0F {
            byte = try reader.byte()
            i.map = 1
            if byte == 0x38 || byte == 0x3A {
                i.map = byte == 0x38 ? 2 : 3
                byte = try reader.byte()
            }
        }
        i.opcode = byte
        let code = Int(i.map) << 8 | Int(byte)
        if table.hasModRM[code] {
            i.modRM = try reader.byte()
        }
        let entry = table.lookup(opcode: code, prefix: Int(i.mandatoryPrefix), modRM: i.modRM)
        i.operation = entry.operation
        guard entry.operation != .invalid else { throw .invalid }
        if table.hasModRM[code] && i.modRM < 0xC0 && !entry.operation.ignoresMod {
            try decodeAddress(&i, &reader)
        }
        if let override { i.segment = override }
        i.destination = try operand(entry.operands.0, &i, &reader)
        i.source = try operand(entry.operands.1, &i, &reader)
        i.third = try operand(entry.operands.2, &i, &reader)
        try check(entry, &i)
        i.length = reader.count
        return i
    }

    /// Reservations that the table cannot express.
    private func check(_ entry: DecodedRow, _ i: inout Instruction) throws(DecodeFailure) {
        if i.prefixes.contains(.lock) {
            // LOCK goes with a read-modify-write of memory only (Intel SDM volume 2, LOCK).
            let memory = i.destination.isMemory || i.operation == .cmpxchg8b && i.source.isMemory
            guard entry.isLockable && memory else { throw .invalid }
        }
        switch i.operation {
        case .movToSegment:
            guard i.destination.index <= 5, i.destination.index != UInt8(SegmentIndex.cs) else {
                throw .invalid
            }
        case .movFromSegment:
            guard i.source.index <= 5 else { throw .invalid }
        case .movToControl:
            guard [0, 2, 3, 4].contains(i.destination.index) else { throw .invalid }
        case .movFromControl:
            guard [0, 2, 3, 4].contains(i.source.index) else { throw .invalid }
        case .xchg where i.map == 0 && i.opcode == 0x90:
            // 90 is NOP and not an exchange of EAX with itself; F3 90 is PAUSE.
            i.operation = i.prefixes.contains(.repeatEqual) ? .pause : .nop
            i.destination = Operand()
            i.source = Operand()
        default: break
        }
    }

    private func operand<S>(
        _ spec: OperandSpec, _ i: inout Instruction, _ reader: inout Reader<S>
    ) throws(DecodeFailure) -> Operand {
        let v = i.operandSize
        func rm(_ size: UInt8, _ kind: Operand.Kind = .register) -> Operand {
            i.isRegisterForm
                ? Operand(kind: kind, index: i.modRM & 7, size: size) : Operand(kind: .memory, size: size)
        }
        func reg(_ size: UInt8, _ kind: Operand.Kind = .register) -> Operand {
            Operand(kind: kind, index: i.modRM >> 3 & 7, size: size)
        }
        func fixed(_ index: Int, _ size: UInt8, _ kind: Operand.Kind = .register) -> Operand {
            Operand(kind: kind, index: UInt8(index), size: size)
        }
        switch spec {
        case .none: return Operand()
        case .Eb: return rm(1)
        case .Ew: return rm(2)
        case .Ed: return rm(4)
        case .Ev: return rm(v)
        case .M, .Mp, .Ma: return Operand(kind: .memory, size: 0)
        case .Mb: return Operand(kind: .memory, size: 1)
        case .Mw: return Operand(kind: .memory, size: 2)
        case .Md: return Operand(kind: .memory, size: 4)
        case .Mq: return Operand(kind: .memory, size: 8)
        case .Mt: return Operand(kind: .memory, size: 10)
        case .Mo: return Operand(kind: .memory, size: 16)
        case .Mv: return Operand(kind: .memory, size: v)
        case .Rd: return Operand(kind: .register, index: i.modRM & 7, size: 4)
        case .Rv: return Operand(kind: .register, index: i.modRM & 7, size: v)
        case .Gb: return reg(1)
        case .Gw: return reg(2)
        case .Gd: return reg(4)
        case .Gv: return reg(v)
        case .Zb: return fixed(Int(i.opcode & 7), 1)
        case .Zv: return fixed(Int(i.opcode & 7), v)
        case .Ib:
            let byte = try reader.byte()
            if i.operation == .enter {
                i.immediate2 = UInt16(byte)
            } else {
                i.immediate = UInt32(byte)
            }
            return Operand(kind: .immediate, size: 1)
        case .Is:
            i.immediate = UInt32(bitPattern: Int32(Int8(bitPattern: try reader.byte())))
            return Operand(kind: .immediate, size: v)
        case .Iw:
            i.immediate = try reader.little(2)
            return Operand(kind: .immediate, size: 2)
        case .Iz:
            i.immediate = try reader.little(v)
            return Operand(kind: .immediate, size: v)
        case .I1:
            i.immediate = 1
            return Operand(kind: .immediate, size: 1)
        case .Jb:
            i.immediate = UInt32(bitPattern: Int32(Int8(bitPattern: try reader.byte())))
            return Operand(kind: .relative, size: v)
        case .Jz:
            let raw = try reader.little(v)
            i.immediate = v == 2 ? UInt32(bitPattern: Int32(Int16(truncatingIfNeeded: raw))) : raw
            return Operand(kind: .relative, size: v)
        case .Ob, .Ov:
            i.displacement = try reader.little(i.addressSize)
            return Operand(kind: .memory, size: spec == .Ob ? 1 : v)
        case .Ap:
            i.immediate = try reader.little(v)
            i.immediate2 = UInt16(try reader.little(2))
            return Operand(kind: .farPointer, size: v)
        case .AL: return fixed(GPR.eax, 1)
        case .CL: return fixed(GPR.ecx, 1)
        case .DX: return fixed(GPR.edx, 2)
        case .AX: return fixed(GPR.eax, 2)
        case .Av: return fixed(GPR.eax, v)
        case .Sw: return reg(2, .segment)
        case .Cd: return reg(4, .control)
        case .Dd: return reg(4, .debug)
        case .ES: return fixed(SegmentIndex.es, 2, .segment)
        case .CS: return fixed(SegmentIndex.cs, 2, .segment)
        case .SS: return fixed(SegmentIndex.ss, 2, .segment)
        case .DS: return fixed(SegmentIndex.ds, 2, .segment)
        case .FS: return fixed(SegmentIndex.fs, 2, .segment)
        case .GS: return fixed(SegmentIndex.gs, 2, .segment)
        case .Xb: return Operand(kind: .stringSource, size: 1)
        case .Xv: return Operand(kind: .stringSource, size: v)
        case .Yb: return Operand(kind: .stringDestination, size: 1)
        case .Yv: return Operand(kind: .stringDestination, size: v)
        case .ST: return fixed(0, 10, .x87)
        case .STi: return fixed(Int(i.modRM & 7), 10, .x87)
        case .Pq: return reg(8, .mmx)
        case .Qd: return rm(4, .mmx)
        case .Qq: return rm(8, .mmx)
        case .Nq: return Operand(kind: .mmx, index: i.modRM & 7, size: 8)
        case .Vo: return reg(16, .xmm)
        case .Wb: return rm(1, .xmm)
        case .Ww: return rm(2, .xmm)
        case .Wd: return rm(4, .xmm)
        case .Wq: return rm(8, .xmm)
        case .Wo: return rm(16, .xmm)
        case .Uo: return Operand(kind: .xmm, index: i.modRM & 7, size: 16)
        }
    }

    private func decodeAddress<S>(
        _ i: inout Instruction, _ reader: inout Reader<S>
    ) throws(DecodeFailure) {
        let mod = i.modRM >> 6
        let rm = i.modRM & 7
        if i.addressSize == 2 {
            if mod == 0 && rm == 6 {
                i.displacement = try reader.little(2)
                return
            }
            // BX+SI BX+DI BP+SI BP+DI SI DI BP BX
            switch rm {
            case 0, 1, 7: i.base = UInt8(GPR.ebx)
            case 2, 3, 6: i.base = UInt8(GPR.ebp)
            default: break
            }
            if rm < 6 { i.index = UInt8(rm & 1 == 0 ? GPR.esi : GPR.edi) }
            if i.base == 5 { i.segment = UInt8(SegmentIndex.ss) }
        } else if rm == 4 {
            let sib = try reader.byte()
            i.scale = sib >> 6
            if sib >> 3 & 7 != 4 { i.index = sib >> 3 & 7 }
            if sib & 7 == 5 && mod == 0 {
                i.displacement = try reader.little(4)
            } else {
                i.base = sib & 7
                if i.base == 4 || i.base == 5 { i.segment = UInt8(SegmentIndex.ss) }
            }
        } else if rm == 5 && mod == 0 {
            i.displacement = try reader.little(4)
        } else {
            i.base = rm
            if rm == 5 { i.segment = UInt8(SegmentIndex.ss) }
        }
        if mod == 1 {
            i.displacement = UInt32(bitPattern: Int32(Int8(bitPattern: try reader.byte())))
        } else if mod == 2 {
            let raw = try reader.little(i.addressSize)
            i.displacement =
                i.addressSize == 2 ? UInt32(bitPattern: Int32(Int16(truncatingIfNeeded: raw))) : raw
        }
    }
}

extension Operation {
    /// MOV to and from control and debug registers take ModRM as a register form whatever mod says.
    var ignoresMod: Bool {
        switch self {
        case .movFromControl, .movToControl, .movFromDebug, .movToDebug: true
        default: false
        }
    }
}

/// Counts bytes and enforces the limit of fifteen.
private struct Reader<Source: ByteSource> {
    var source: Source
    var count: UInt8 = 0

    init(_ source: Source) { self.source = source }

    mutating func byte() throws(DecodeFailure) -> UInt8 {
        guard count < 15 else { throw .tooLong }
        count += 1
        do {
            return try source.next()
        } catch {
            throw .fetch(error)
        }
    }

    mutating func little(_ size: UInt8) throws(DecodeFailure) -> UInt32 {
        var value: UInt32 = 0
        for shift in 0..<size { value |= UInt32(try byte()) << (8 * UInt32(shift)) }
        return value
    }
}

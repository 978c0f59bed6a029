// SPDX-License-Identifier: Apache-2.0
//
// The registers in the order and form in which gdb and lldb get them: the order in which the target description
// lists them, each little-endian in its full width.

import X86

/// One register as debuggers know it.
struct DebugRegister: Sendable {
    enum Kind: Equatable, Sendable {
        case general(Int)
        case eip, eflags
        case segment(Int)
        /// x87 data register by its distance from the top of the stack.
        case st(Int)
        case x87(X87Field)
        case xmm(Int)
        case mxcsr
        case system(SystemField)
    }

    /// In the order of the target description; the numbers have no meaning of their own.
    enum X87Field: String, CaseIterable, Sendable {
        case fctrl, fstat, ftag, fiseg, fioff, foseg, fooff, fop
    }

    enum SystemField: String, CaseIterable, Sendable {
        case cr0, cr2, cr3, cr4, efer, fs_base, gs_base, cpl
    }

    let name: String
    let kind: Kind
    let bits: Int
    /// Type in the target description.
    let type: String

    var bytes: Int { bits / 8 }

    static let core: [DebugRegister] = {
        let general = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        var list = general.enumerated().map { index, name in
            let isPointer = index == GPR.esp || index == GPR.ebp
            return DebugRegister(
                name: name, kind: .general(index), bits: 32, type: isPointer ? "data_ptr" : "int32")
        }
        list.append(DebugRegister(name: "eip", kind: .eip, bits: 32, type: "code_ptr"))
        list.append(DebugRegister(name: "eflags", kind: .eflags, bits: 32, type: "i386_eflags"))
        let segments = [
            ("cs", SegmentIndex.cs), ("ss", SegmentIndex.ss), ("ds", SegmentIndex.ds),
            ("es", SegmentIndex.es), ("fs", SegmentIndex.fs), ("gs", SegmentIndex.gs),
        ]
        list += segments.map { DebugRegister(name: $0.0, kind: .segment($0.1), bits: 32, type: "int32") }
        list += (0..<8).map { DebugRegister(name: "st\($0)", kind: .st($0), bits: 80, type: "i387_ext") }
        list += X87Field.allCases.map {
            DebugRegister(name: $0.rawValue, kind: .x87($0), bits: 32, type: "int")
        }
        return list
    }()

    static let sse: [DebugRegister] =
        (0..<8).map { DebugRegister(name: "xmm\($0)", kind: .xmm($0), bits: 128, type: "vec128") }
        + [DebugRegister(name: "mxcsr", kind: .mxcsr, bits: 32, type: "i386_mxcsr")]

    static let system: [DebugRegister] = SystemField.allCases.map {
        DebugRegister(name: $0.rawValue, kind: .system($0), bits: 32, type: "uint32")
    }

    static let all = core + sse + system
}

extension CPU {
    /// The value of `register`, little-endian, `register.bytes` long.
    func bytes(of register: DebugRegister) -> [UInt8] {
        switch register.kind {
        case .st(let n): return floatingBytes(at: 32 + 16 * n, count: 10)
        case .xmm(let n): return floatingBytes(at: 160 + 16 * n, count: 16)
        default: return word(of: register).littleEndianBytes
        }
    }

    private func word(of register: DebugRegister) -> UInt32 {
        switch register.kind {
        case .general(let index): self[r32: index]
        case .eip: eip
        case .eflags: eflags
        case .segment(let index): UInt32(self[segment: index].selector)
        case .x87(let field): x87Word(field)
        case .mxcsr: floatingWord(at: 24, count: 4)
        case .system(let field): systemWord(field)
        case .st, .xmm: 0
        }
    }

    private func systemWord(_ field: DebugRegister.SystemField) -> UInt32 {
        switch field {
        case .cr0: system.cr0
        case .cr2: system.cr2
        case .cr3: system.cr3
        case .cr4: system.cr4
        case .efer: UInt32(truncatingIfNeeded: system.efer)
        case .fs_base: self[segment: SegmentIndex.fs].base
        case .gs_base: self[segment: SegmentIndex.gs].base
        case .cpl: UInt32(cpl)
        }
    }

    /// Sets a register; false for what cannot be set, or not to this value.
    func set(_ register: DebugRegister, _ bytes: [UInt8]) -> Bool {
        guard bytes.count == register.bytes else { return false }
        if bytes == self.bytes(of: register) { return true }
        let value = bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        switch register.kind {
        case .general(let index): self[r32: index] = value
        case .eip: eip = value
        case .eflags: setEFLAGS(eflags & ~0x3F_7FD5 | value & 0x3F_7FD5)
        case .segment(let index):
            guard index != SegmentIndex.cs, value <= 0xFFFF else { return false }
            return (try? loadSegment(index, UInt16(value))) != nil
        case .st(let n): setFloatingBytes(bytes, at: 32 + 16 * n)
        case .xmm(let n): setFloatingBytes(bytes, at: 160 + 16 * n)
        case .mxcsr:
            guard value & 0xFFFF_0000 == 0 else { return false }
            setFloatingBytes(bytes, at: 24)
        case .x87(let field): setX87(field, value)
        case .system: return false
        }
        return true
    }
}

// The x87 and SSE registers in the layout of FXSAVE (Intel SDM volume 1, 10.5.1), byte by byte.
extension CPU {
    func floatingByte(_ offset: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: system.fpu.area[offset >> 3] >> UInt64(8 * (offset & 7)))
    }

    private func floatingBytes(at offset: Int, count: Int) -> [UInt8] {
        (offset..<offset + count).map(floatingByte)
    }

    private func floatingWord(at offset: Int, count: Int) -> UInt32 {
        floatingBytes(at: offset, count: count).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }

    private func setFloatingBytes(_ bytes: [UInt8], at offset: Int) {
        for (n, byte) in bytes.enumerated() {
            let shift = UInt64(8 * ((offset + n) & 7))
            let old = system.fpu.area[(offset + n) >> 3]
            system.fpu.area[(offset + n) >> 3] = old & ~(0xFF << shift) | UInt64(byte) << shift
        }
    }

    private func x87Word(_ field: DebugRegister.X87Field) -> UInt32 {
        switch field {
        case .fctrl: floatingWord(at: 0, count: 2)
        case .fstat: floatingWord(at: 2, count: 2)
        case .ftag: fullTagWord
        case .fop: floatingWord(at: 6, count: 2)
        case .fioff: floatingWord(at: 8, count: 4)
        case .fiseg: floatingWord(at: 12, count: 2)
        case .fooff: floatingWord(at: 16, count: 4)
        case .foseg: floatingWord(at: 20, count: 2)
        }
    }

    private func setX87(_ field: DebugRegister.X87Field, _ value: UInt32) {
        let half = Array(value.littleEndianBytes.prefix(2))
        switch field {
        case .fctrl: setFloatingBytes(half, at: 0)
        case .fstat: setFloatingBytes(half, at: 2)
        case .ftag:
            // Only "empty" is kept; the rest follows from the registers.
            let full = (0..<8).reduce(UInt8(0)) { $0 | (value >> UInt32(2 * $1) & 3 != 3 ? 1 << $1 : 0) }
            setFloatingBytes([full], at: 4)
        case .fop: setFloatingBytes(half, at: 6)
        case .fioff: setFloatingBytes(value.littleEndianBytes, at: 8)
        case .fiseg: setFloatingBytes(half, at: 12)
        case .fooff: setFloatingBytes(value.littleEndianBytes, at: 16)
        case .foseg: setFloatingBytes(half, at: 20)
        }
    }

    /// The tag word of FNSTENV, two bits for each physical register (Intel SDM volume 1, 8.1.7): 0 valid, 1 zero,
    /// 2 special, 3 empty.
    private var fullTagWord: UInt32 {
        let present = floatingByte(4)
        let top = Int(floatingWord(at: 2, count: 2) >> 11 & 7)
        var tags: UInt32 = 0
        for physical in 0..<8 {
            var tag: UInt32 = 3
            if present & 1 << physical != 0 {
                let value = floatingBytes(at: 32 + 16 * ((physical - top) & 7), count: 10)
                let exponent = UInt32(value[8]) | UInt32(value[9] & 0x7F) << 8
                let fractionIsZero = value[..<8].allSatisfy { $0 == 0 }
                tag = exponent == 0 && fractionIsZero ? 1 : exponent == 0x7FFF || value[7] & 0x80 == 0 ? 2 : 0
            }
            tags |= tag << UInt32(2 * physical)
        }
        return tags
    }
}

extension UInt32 {
    var littleEndianBytes: [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: self >> UInt32(8 * $0)) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// An x86-64 assembler: one function for the general form of an instruction, and short names for what the
// translator needs often (Intel SDM volume 2, chapter 2).

import X86

/// Host registers by number.
enum Host {
    static let rax = 0, rcx = 1, rdx = 2, rbx = 3, rsp = 4, rbp = 5, rsi = 6, rdi = 7
    /// Guest ESP.
    static let esp = 8
    /// Scratch; 11 holds the linear address of an access, 10 what to add to it.
    static let r9 = 9, r10 = 10, r11 = 11
    /// Flat tables for reads and writes.
    static let readTable = 12, writeTable = 13
    /// The processor's state, plus a bias.
    static let state = 14
    /// Instructions that may still run.
    static let budget = 15
}

/// The r/m operand.
enum RM {
    case register(Int)
    case memory(base: Int, index: Int, scale: Int, displacement: Int32)
    /// The same in the guest's window: a 32-bit address, and GS unless the window is the direct one.
    case window(base: Int, index: Int, scale: Int, displacement: Int32)

    static func at(_ base: Int, _ displacement: Int32 = 0) -> RM {
        .memory(base: base, index: -1, scale: 0, displacement: displacement)
    }
    static func sum(_ base: Int, _ index: Int) -> RM {
        .memory(base: base, index: index, scale: 0, displacement: 0)
    }
}

/// Condition codes.
enum Condition {
    static let o = 0, no = 1, b = 2, ae = 3, e = 4, ne = 5, be = 6, a = 7, s = 8, ns = 9
}

struct Assembler {
    let cache: CodeCache
    /// Offset of the next byte in the cache.
    var here: Int
    /// What turns an offset in `CPUState` into a displacement from `Host.state`.
    let bias: Int
    /// Offsets of instructions that reach into the window, since the list was emptied.
    var windowSites: [Int] = []
    /// Whether GS holds the base of the window; without it, addresses in the window are the host's.
    var windowHasBase = true

    init(_ cache: CodeCache, bias: Int) {
        self.cache = cache
        here = cache.top
        self.bias = bias
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        cache.put(value, at: here)
        here += 1
    }
    @inline(__always)
    mutating func word(_ value: UInt32) {
        cache.put(value, at: here)
        here += 4
    }
    @inline(__always)
    mutating func half(_ value: UInt16) {
        cache.put(value, at: here)
        here += 2
    }
    @inline(__always)
    mutating func quad(_ value: UInt64) {
        cache.put(value, at: here)
        here += 8
    }

    /// A field of the state as operand.
    func field(_ offset: Int) -> RM { .at(Host.state, Int32(offset - bias)) }

    /// One instruction. `map`: 0 none, 1 0F, 2 0F38, 3 0F3A; `prefix`: 0 or a mandatory or size prefix;
    /// `wide`: REX.W.
    mutating func op(
        _ opcode: UInt8, map: UInt8 = 0, reg: Int, _ rm: RM, prefix: UInt8 = 0, wide: Bool = false
    ) {
        if case .window = rm {
            windowSites.append(here)
            if windowHasBase { byte(0x65) }
            byte(0x67)
        }
        if prefix != 0 { byte(prefix) }
        var rex: UInt8 = wide ? 0x48 : 0
        if reg > 7 { rex |= 0x44 }
        switch rm {
        case .register(let register): if register > 7 { rex |= 0x41 }
        case .memory(let base, let index, _, _), .window(let base, let index, _, _):
            if base > 7 { rex |= 0x41 }
            if index > 7 { rex |= 0x42 }
        }
        if rex != 0 { byte(rex) }
        if map != 0 {
            byte(0x0F)
            if map == 2 { byte(0x38) }
            if map == 3 { byte(0x3A) }
        }
        byte(opcode)
        modRM(reg, rm)
    }

    private mutating func modRM(_ reg: Int, _ rm: RM) {
        let field = UInt8(reg & 7) << 3
        switch rm {
        case .register(let register): byte(0xC0 | field | UInt8(register & 7))
        case .memory(let base, let index, let scale, let displacement),
            .window(let base, let index, let scale, let displacement):
            if base < 0 {
                // No base: SIB with a 32-bit displacement.
                byte(field | 4)
                byte(UInt8(scale) << 6 | UInt8(index < 0 ? 4 : index & 7) << 3 | 5)
                word(UInt32(bitPattern: displacement))
                return
            }
            let mod: UInt8 =
                displacement == 0 && base & 7 != 5 ? 0 : displacement >= -128 && displacement <= 127 ? 1 : 2
            if index >= 0 || base & 7 == 4 {
                byte(mod << 6 | field | 4)
                byte(UInt8(scale) << 6 | UInt8(index < 0 ? 4 : index & 7) << 3 | UInt8(base & 7))
            } else {
                byte(mod << 6 | field | UInt8(base & 7))
            }
            if mod == 1 { byte(UInt8(bitPattern: Int8(displacement))) }
            if mod == 2 { word(UInt32(bitPattern: displacement)) }
        }
    }

    // Moves

    mutating func move(_ to: Int, _ from: Int) { op(0x8B, reg: to, .register(from)) }
    mutating func move64(_ to: Int, _ from: Int) { op(0x8B, reg: to, .register(from), wide: true) }
    mutating func load(_ to: Int, _ from: RM) { op(0x8B, reg: to, from) }
    mutating func load64(_ to: Int, _ from: RM) { op(0x8B, reg: to, from, wide: true) }
    mutating func store(_ to: RM, _ from: Int) { op(0x89, reg: from, to) }
    mutating func store64(_ to: RM, _ from: Int) { op(0x89, reg: from, to, wide: true) }
    mutating func lea(_ to: Int, _ from: RM) { op(0x8D, reg: to, from) }
    mutating func lea64(_ to: Int, _ from: RM) { op(0x8D, reg: to, from, wide: true) }
    mutating func storeImmediate(_ to: RM, _ value: UInt32) {
        op(0xC7, reg: 0, to)
        word(value)
    }
    mutating func immediate(_ to: Int, _ value: UInt32) {
        if to > 7 { byte(0x41) }
        byte(0xB8 | UInt8(to & 7))
        word(value)
    }
    mutating func immediate64(_ to: Int, _ value: UInt64) {
        byte(to > 7 ? 0x49 : 0x48)
        byte(0xB8 | UInt8(to & 7))
        quad(value)
    }
    /// GS base = `from`. Keeps flags.
    mutating func writeGSBase(_ from: Int) {
        byte(0xF3)
        byte(from > 7 ? 0x49 : 0x48)
        byte(0x0F)
        byte(0xAE)
        byte(0xD8 | UInt8(from & 7))
    }
    /// The address of `offset` in the cache, relative to here.
    mutating func leaCode(_ to: Int, _ offset: Int) {
        byte(to > 7 ? 0x4C : 0x48)
        byte(0x8D)
        byte(UInt8(to & 7) << 3 | 5)
        word(UInt32(truncatingIfNeeded: offset - here - 4))
    }

    // Arithmetic with an immediate: `index` is the number in ModRM.reg (0 add, 4 and, 5 sub, 7 cmp).

    mutating func alu(_ index: Int, _ to: RM, _ value: Int32, wide: Bool = false) {
        if value >= -128 && value <= 127 {
            op(0x83, reg: index, to, wide: wide)
            byte(UInt8(bitPattern: Int8(value)))
        } else {
            op(0x81, reg: index, to, wide: wide)
            word(UInt32(bitPattern: value))
        }
    }

    /// SHL or SHR of a 32-bit register. Changes flags.
    mutating func shift(_ register: Int, right: Bool, _ count: UInt8) {
        op(0xC1, reg: right ? 5 : 4, .register(register))
        byte(count)
    }
    /// CMP of a byte in memory.
    mutating func compareByte(_ memory: RM, _ value: UInt8) {
        op(0x80, reg: 7, memory)
        byte(value)
    }

    mutating func pushImmediate(_ value: UInt32) {
        byte(0x68)
        word(value)
    }

    // Control flow

    /// A jump to a known offset, or to one that is patched later; returns the displacement's offset.
    @discardableResult
    mutating func jump(to target: Int = 0) -> Int {
        byte(0xE9)
        word(UInt32(truncatingIfNeeded: target - here - 4))
        return here - 4
    }
    @discardableResult
    mutating func jump(if condition: Int, to target: Int = 0) -> Int {
        byte(0x0F)
        byte(0x80 | UInt8(condition))
        word(UInt32(truncatingIfNeeded: target - here - 4))
        return here - 4
    }
    /// A short jump, patched by `bind`; returns the displacement's offset.
    mutating func shortJump(_ opcode: UInt8) -> Int {
        byte(opcode)
        byte(0)
        return here - 1
    }
    mutating func bindShort(_ displacement: Int) {
        precondition(here - displacement <= 128, "a short jump reaches too far")
        cache.put(Int8(here - displacement - 1), at: displacement)
    }
    mutating func bind(_ displacement: Int) { cache.patchJump(at: displacement, to: here) }
    /// A call of a known offset, or of one that is patched later; returns the displacement's offset.
    @discardableResult
    mutating func call(_ target: Int = 0) -> Int {
        byte(0xE8)
        word(UInt32(truncatingIfNeeded: target - here - 4))
        return here - 4
    }
    mutating func jump(register: Int) { op(0xFF, reg: 4, .register(register)) }
    mutating func call(register: Int) { op(0xFF, reg: 2, .register(register)) }
    mutating func ret() { byte(0xC3) }

    // Flags

    /// Saves the arithmetic flags; changes `scratch` (R9) and nothing else.
    mutating func saveFlags(_ layout: StateLayout, scratch: Int = Host.r9) {
        move64(scratch, Host.rax)
        byte(0x9F)  // LAHF
        op(0x90, map: 1, reg: 0, .register(Host.rax))  // SETO AL
        op(0x89, reg: Host.rax, field(layout.flagImage), prefix: 0x66)
        move64(Host.rax, scratch)
    }

    /// Loads the arithmetic flags; changes R9 and nothing else.
    mutating func restoreFlags(_ layout: StateLayout) {
        move64(Host.r9, Host.rax)
        op(0xB7, map: 1, reg: Host.rax, field(layout.flagImage))  // MOVZX EAX, word
        byte(0x04)  // ADD AL, 127: sets OF if AL is 1
        byte(0x7F)
        byte(0x9E)  // SAHF
        move64(Host.rax, Host.r9)
    }

    /// EFLAGS in `to`, of the two places where it is kept. Changes `scratch` and the host's flags.
    mutating func formFlags(_ layout: StateLayout, to: Int, scratch: Int) {
        op(0xB7, map: 1, reg: to, field(layout.flagImage))
        move(scratch, to)
        shift(to, right: true, 8)
        alu(4, .register(to), 0xD5)
        alu(4, .register(scratch), 1)
        shift(scratch, right: false, 11)
        op(0x0B, reg: to, .register(scratch))
        op(0x0B, reg: to, field(layout.eflagsOther))
    }

    /// Keeps the arithmetic flags of the image in `from`. Changes it, `scratch` and the host's flags.
    mutating func keepFlags(_ layout: StateLayout, from: Int, scratch: Int) {
        move(scratch, from)
        alu(4, .register(scratch), 0xD5)
        alu(1, .register(scratch), 2)
        shift(scratch, right: false, 8)
        shift(from, right: true, 11)
        alu(4, .register(from), 1)
        op(0x0B, reg: scratch, .register(from))
        store(field(layout.flagImage), scratch)
    }

    /// Loads CF alone.
    mutating func restoreCarry(_ layout: StateLayout) {
        op(0xBA, map: 1, reg: 4, field(layout.flagImage))  // BT dword, 8
        byte(8)
    }
}

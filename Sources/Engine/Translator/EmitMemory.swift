// SPDX-License-Identifier: Apache-2.0
//
// Memory operands: the linear address, the flat table's entry, the two tests, and the way round where one
// of them fails. The instruction itself then runs on `[R10 + address]`.

import X86

extension BlockEmitter {
    enum Access {
        case read, write
        /// Reads, then writes.
        case modify
    }

    /// Leaves the linear address of `i`'s memory operand in a host register and returns which one. Flags must be
    /// saved or dead when the operand has a segment with a base.
    func formAddress(_ k: Int) -> Int {
        let i = instructions[k]
        let hasBase = i.base != UInt8(GPR.zero)
        let hasIndex = i.index != UInt8(GPR.zero)
        let hasOffset = i.segment == UInt8(SegmentIndex.fs) || i.segment == UInt8(SegmentIndex.gs)
        let displacement = Int32(bitPattern: i.displacement)
        // `withByteRegister` changes registers under the operand.
        let moves = usesHighByte(i.destination) || usesHighByte(i.source)
        let isPlain = !hasOffset && !moves && displacement == 0
        if hasBase && !hasIndex && isPlain { return hostRegister(i.base) }
        if hasIndex && i.scale == 0 && !hasBase && isPlain {
            return hostRegister(i.index)
        }
        if !hasBase && !hasIndex {
            a.immediate(Host.r11, i.displacement)
        } else {
            a.lea(Host.r11, effective(i))
        }
        if hasOffset { addSegmentBase(k) }
        return Host.r11
    }

    /// The operand as the host encodes it.
    func effective(_ i: Instruction) -> RM {
        .memory(
            base: i.base == UInt8(GPR.zero) ? -1 : hostRegister(i.base),
            index: i.index == UInt8(GPR.zero) ? -1 : hostRegister(i.index),
            scale: Int(i.scale),
            displacement: Int32(bitPattern: i.displacement) &+ (i.base == UInt8(GPR.esp) ? stackDelta : 0))
    }

    /// Adds the base of FS or GS to R11, after the checks. What fails them is left to the processor core.
    private func addSegmentBase(_ k: Int) {
        let i = instructions[k]
        let isGS = i.segment == UInt8(SegmentIndex.gs)
        let writes =
            i.destination.isMemory && i.operation != .cmp && i.operation != .test && i.operation != .bt
        var bits: UInt8 = writes ? 2 : 1
        if isGS { bits <<= 2 }
        a.op(0xF6, reg: 0, a.field(layout.simpleSegments))  // TEST byte
        a.byte(bits)
        fallBack(k, if: Condition.e)
        // Neither the last byte nor, where that wraps, the first one may lie beyond the limit.
        let size = Int32(i.destination.isMemory ? i.destination.size : i.source.size)
        let limit = a.field(layout.segmentLimit(Int(i.segment)))
        if i.base == UInt8(GPR.zero) && i.index == UInt8(GPR.zero) && i.displacement < 0x1000 {
            a.alu(7, limit, Int32(bitPattern: i.displacement) + size - 1)
            fallBack(k, if: Condition.b)
        } else {
            a.lea(Host.r9, .at(Host.r11, size - 1))
            a.op(0x3B, reg: Host.r9, .register(Host.r11))
            fallBack(k, if: Condition.b)
            a.op(0x3B, reg: Host.r9, limit)
            fallBack(k, if: Condition.a)
        }
        a.op(0x03, reg: Host.r11, a.field(layout.segmentBase(Int(i.segment))))
    }

    func usesHighByte(_ operand: Operand) -> Bool {
        operand.kind == .register && operand.size == 1 && operand.index > 3
    }

    func hostRegister(_ guest: UInt8) -> Int { guest == UInt8(GPR.esp) ? Host.esp : Int(guest) }

    /// An access of `size` bytes to the memory operand of instruction `k`. `body` emits the instruction for the
    /// operand that it is given; it is called once more for the slow path of writes, so it changes nothing but
    /// the code. `finish` emits register updates that come after the access.
    func access(
        _ k: Int, _ size: Int, _ kind: Access, finish: (() -> Void)? = nil, _ body: @escaping (RM) -> Void
    ) {
        if usesWindow, canUseWindow(k) {
            operandInWindow(k, size, kind, finish: finish, body)
            return
        }
        preserveFlags(k)
        let register = formAddress(k)
        flatAccess(k, at: register, size, kind, finish: finish, body)
    }

    /// The same at an address that is already in a host register.
    func access(
        _ k: Int, at register: Int, _ size: Int, _ kind: Access, finish: (() -> Void)? = nil,
        _ body: @escaping (RM) -> Void
    ) {
        if usesWindow, canUseWindow(k) {
            windowAccess(k, at: register, 0, size, kind, finish: finish, body)
            return
        }
        preserveFlags(k)
        flatAccess(k, at: register, size, kind, finish: finish, body)
    }

    private func flatAccess(
        _ k: Int, at register: Int, _ size: Int, _ kind: Access, finish: (() -> Void)? = nil,
        _ body: @escaping (RM) -> Void
    ) {
        let jumps = lookUp(register, size, kind)
        let restored = neededRestore(k)
        let emit = { [self] in
            restore(restored)
            body(.sum(Host.r10, register))
            finish?()
        }
        let back = a.here
        emit()
        let after = a.here
        flagsWritten(k, restored: restored)
        let flagsLive = place != .saved
        outOfLine.append { [self] in
            for jump in jumps { a.bind(jump) }
            if register != Host.r11 { a.move(Host.r11, register) }
            a.immediate(Host.r9, addRecord(k, size, kind, flagsLive: flagsLive, windowed: false))
            let thunk = kind == .read ? thunks.read : kind == .write ? thunks.write : thunks.modify
            a.call(thunk[size > 8 ? 4 : size.trailingZeroBitCount])
            if kind == .read {
                a.jump(to: back)
                return
            }
            a.jump(if: Condition.ae, to: back)
            emit()
            a.call(thunks.commit)
            a.jump(to: after)
        }
    }

    func addRecord(_ k: Int, _ size: Int, _ kind: Access, flagsLive: Bool, windowed: Bool) -> UInt32 {
        let i = instructions[k]
        let ends = k == instructions.count - 1 && NativeSupport.endsBlock(i)
        cache.accesses.append(
            AccessRecord(
                eip: addresses[k], block: block, left: UInt8(instructions.count - k), size: UInt8(size),
                length: i.length,
                traits: (kind == .modify ? AccessRecord.reads : 0)
                    | (flagsLive ? AccessRecord.flagsLive : 0)
                    | (ends ? AccessRecord.endsBlock : 0)
                    | (windowed ? AccessRecord.windowed : 0)))
        return UInt32(cache.accesses.count - 1)
    }

    /// Puts the table's entry for the page of the address in `register` into R10; returns the jumps to the slow
    /// path: no entry, or an operand that may reach beyond the page.
    private func lookUp(_ register: Int, _ size: Int, _ kind: Access) -> [Int] {
        let table = kind == .read ? Host.readTable : Host.writeTable
        pageNumber(Host.r10, register)
        a.load64(Host.r10, .memory(base: table, index: Host.r10, scale: 3, displacement: 0))
        var jumps: [Int] = []
        if size > 4 {
            // Often not aligned to their size: does the last byte lie in another page?
            a.lea(Host.r9, .at(register, Int32(size - 1)))
            a.op(0x33, reg: Host.r9, .register(register))
            a.op(0xF7, reg: 0, .register(Host.r9))
            a.word(0xFFFF_F000)
            jumps.append(a.jump(if: Condition.ne))
        } else if size > 1 {
            // SPL and above need a REX prefix even where it has no bits.
            if register >= 4 && register <= 7 { a.byte(0x40) }
            a.op(0xF6, reg: 0, .register(register))  // TEST r8, size - 1
            a.byte(UInt8(size - 1))
            jumps.append(a.jump(if: Condition.ne))
        }
        a.op(0x85, reg: Host.r10, .register(Host.r10), wide: true)
        jumps.append(a.jump(if: Condition.e))
        return jumps
    }

    /// `to` = page number of the address in `from`.
    func pageNumber(_ to: Int, _ from: Int) { a.pageNumber(to, from, hasBMI2: hasBMI2) }
}

extension Assembler {
    /// `to` = page number of the address in `from`. Keeps the flags with BMI2.
    mutating func pageNumber(_ to: Int, _ from: Int, hasBMI2: Bool) {
        if hasBMI2 {
            // SHRX: the low five bits of the state pointer are 12 (see `Translator`).
            byte(0xC4)
            byte((to > 7 ? 0 : 0x80) | 0x40 | (from > 7 ? 0 : 0x20) | 2)
            byte(UInt8(~Host.state & 15) << 3 | 3)
            byte(0xF7)
            byte(0xC0 | UInt8(to & 7) << 3 | UInt8(from & 7))
        } else {
            move(to, from)
            op(0xC1, reg: 5, .register(to))
            byte(12)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Makes cases from rows of the instruction table: every operand form, prefix and size, with registers and
// memory set so that most memory operands lie where something interesting is.

import CHostOracle
import X86

public struct Generator {
    var random: Random
    var test = TestCase()
    /// Registers whose value is settled.
    var pinned: Set<Int> = []
    let localSegments: Bool
    /// Whether the case is about the x87, MMX and SSE units: all its instructions are theirs then.
    let isFloating: Bool

    // The instruction being made.
    var entry: TableEntry
    var operandSize: UInt32 = 4
    var addressSize: UInt32 = 4
    var dataSegment = SegmentIndex.ds
    var hasOverride = false
    var isFirst = true
    /// Linear address of its memory operand, once chosen.
    var target: UInt32?

    /// The case with this seed, about this row.
    public static func make(_ entry: TableEntry, seed: UInt64, localSegments: Bool) -> TestCase {
        var generator = Generator(entry: entry, seed: seed, localSegments: localSegments)
        return generator.make()
    }

    init(entry: TableEntry, seed: UInt64, localSegments: Bool) {
        self.entry = entry
        self.localSegments = localSegments
        isFloating = Exclusions.isFloating(entry.operation)
        random = Random(seed: seed)
        test.seed = seed
        test.operation = entry.operation
    }

    private mutating func make() -> TestCase {
        chooseState()
        let count = random.chance(70) ? 1 : random.within(2...4)
        for n in 0..<count {
            if n > 0 {
                entry = random.pick(isFloating ? Exclusions.floatingCompanions : Exclusions.integerEntries)
                isFirst = false
                // What one of these stores would differ; the ranges to forget are those of the first instruction.
                if entry.operation.changesFlow || storesPointers { break }
            }
            let bytes = instruction()
            if test.code.count + bytes.count > Int(ORACLE_CODE_BYTES) - 16 { break }
            test.instructions.append(bytes)
            // A trap that is to come after the next instruction must find one of the case.
            if entry.operation.delaysTraps { test.instructions.append([0x90]) }
            if entry.operation.changesFlow || storesPointers { break }
        }
        test.normalise()
        return test
    }

    private mutating func chooseState() {
        for n in 0..<8 { test.gpr[n] = random.value() }
        if isFloating { chooseFloatingState() }
        if localSegments && random.chance(12) { chooseSegments() }
        // Stack and frame pointers, string pointers: mostly inside the window.
        test.gpr[GPR.esp] = stackOffset()
        test.normalise()
        if random.chance(70) { test.gpr[GPR.ebp] = stackOffset() }
        var flags = random.word() & EFLAGS.arithmetic | 0x202
        if random.chance(25) { flags |= EFLAGS.df }
        if random.chance(3) { flags |= EFLAGS.ac }
        if random.chance(2) { flags |= EFLAGS.tf }
        if random.chance(10) { flags |= EFLAGS.id }
        if random.chance(1) { flags |= EFLAGS.nt }
        test.eflags = flags
        // Mostly in the middle of a page, sometimes across the two, sometimes up to the end of the mapping.
        let offset: UInt32
        switch random.below(20) {
        case 0: offset = 0x1000 - UInt32(random.below(16))
        case 1: offset = 0x2000 - UInt32(random.within(1...16))
        default: offset = 0x100 + UInt32(random.below(0xE00))
        }
        test.eip = (test.selectors.cs & 4 != 0 ? 0 : UInt32(ORACLE_CODE)) + offset
    }

    private mutating func chooseSegments() {
        let data: [UInt16] = [0x2B, 0x2B, 0x07, 0x0F, 0x17, 0x27, 0x2F, 0x4F, 0x47, 0, 3, 0x1F]
        for index in [SegmentIndex.es, SegmentIndex.ds, SegmentIndex.fs, SegmentIndex.gs] {
            test.selectors[index] = random.pick(data)
        }
        if random.chance(40) { test.selectors.ss = random.pick([0x2B, 0x07, 0x0F, 0x17, 0x2F, 0x4F]) }
        if random.chance(50) { test.selectors.cs = random.pick([0x1F, 0x1F, 0x37, 0x47]) }
    }

    private mutating func stackOffset() -> UInt32 {
        var linear = UInt32(ORACLE_WINDOW) + UInt32(random.below(0x1F00)) + 0x80
        if random.chance(75) { linear &= ~3 }
        if random.chance(6) {
            linear = random.pick([0xE000, 0xF000, 0x10000]) &+ UInt32(random.below(9)) &- 4
        }
        return linear &- Subject.base(test.selectors.ss)
    }

    // One instruction

    private mutating func instruction() -> [UInt8] {
        let encoding = entry.encoding
        var bytes = prefixes(encoding)
        target = nil
        prepareOperation()
        let opcode = encoding.opcode + random.below(encoding.count)
        switch opcode >> 8 {
        case 1: bytes.append(0x0F)
        case 2: bytes += [0x0F, 0x38]
        case 3: bytes += [0x0F, 0x3A]
        default: break
        }
        bytes.append(UInt8(opcode & 0xFF))
        if let modRM = encoding.modRM {
            bytes.append(modRM)
        } else if encoding.hasModRM {
            let reg = UInt8(random.pick(registersAllowed(encoding.regs)))
            let form =
                isFirst || encoding.forms.count == 1 ? random.pick(encoding.forms) : random.chance(60) ? 1 : 0
            if form == 1 || entry.operation.ignoresModBits {
                let mode: UInt8 = form == 1 ? 0xC0 : UInt8(random.below(4)) << 6
                bytes.append(mode | reg << 3 | UInt8(random.below(8)))
                prepareRegisterOperand(bytes[bytes.count - 1])
            } else {
                noteVector()
                bytes += memoryOperand(reg)
            }
        }
        for spec in [entry.operands.0, entry.operands.1, entry.operands.2] {
            bytes += immediate(spec, bytes.count)
        }
        finishOperation(bytes)
        return bytes
    }

    private mutating func registersAllowed(_ regs: [Int]) -> [Int] {
        switch entry.operation {
        // CS cannot be loaded: sometimes try.
        case .movToSegment: random.chance(5) ? regs : [0, 2, 3, 4, 5]
        default: regs
        }
    }

    private mutating func prefixes(_ encoding: TableEntry.Encoding) -> [UInt8] {
        var bytes: [UInt8] = []
        let is32 = test.is32
        operandSize = is32 ? 4 : 2
        addressSize = operandSize
        hasOverride = false
        dataSegment = SegmentIndex.ds
        if encoding.prefixes.count == 1 {
            switch encoding.prefixes[0] {
            case 1:
                bytes.append(0x66)
                operandSize = 6 - operandSize
            case 2: bytes.append(0xF3)
            case 3: bytes.append(0xF2)
            default: break
            }
        } else {
            if random.chance(25) {
                bytes.append(0x66)
                operandSize = 6 - operandSize
            }
            let repeats = entry.operation.isString ? 60 : 3
            if random.chance(repeats) && Exclusions.allowsRepeatPrefix(entry) {
                bytes.append(random.chance(60) ? 0xF3 : 0xF2)
            }
        }
        if random.chance(12) {
            bytes.append(0x67)
            addressSize = 6 - addressSize
        }
        if random.chance(10) {
            hasOverride = true
            let choice = random.below(6)
            bytes.append([0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65][choice])
            dataSegment = choice
            if random.chance(10) {
                let second = random.below(6)
                bytes.append([0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65][second])
                dataSegment = second
            }
        }
        // LOCK MOV CR0 is MOV CR8 on AMD.
        if random.chance(entry.isLockable ? 15 : entry.operation.ignoresModBits ? 0 : 1) {
            bytes.append(0xF0)
        }
        if random.chance(1) {
            // Too long, or just not.
            bytes += [UInt8](repeating: random.pick([0x2E, 0x3E, 0x26]), count: random.within(8...14))
            hasOverride = true
            dataSegment = [0x26: 0, 0x2E: 1, 0x3E: 3][Int(bytes[bytes.count - 1])] ?? 3
        }
        for n in stride(from: bytes.count - 1, to: 0, by: -1) where bytes.count < 8 {
            bytes.swapAt(n, random.below(n + 1))
        }
        if bytes.count < 8,
            let last = bytes.last(where: { [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65].contains($0) })
        {
            dataSegment = [0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5][Int(last)] ?? 3
        }
        return bytes
    }

    /// Sets a register unless its value is needed already.
    @discardableResult
    mutating func pin(_ register: Int, _ value: UInt32) -> Bool {
        guard isFirst, !pinned.contains(register) else { return false }
        test.gpr[register] = value
        if register == GPR.esp { test.normalise() }
        pinned.insert(register)
        return true
    }

    /// Writes a word over the window, if there is still room and it lies inside.
    mutating func patch(_ linear: UInt32, _ value: UInt32) {
        let window = UInt32(ORACLE_WINDOW)
        guard isFirst, test.patches.count < Int(ORACLE_PATCHES), linear >= window,
            linear <= window + UInt32(ORACLE_WINDOW_SIZE) - 4
        else { return }
        test.patches.append(TestCase.Patch(address: linear, value: value))
    }
}

extension Operation {
    /// Whether the case has to end with it.
    var changesFlow: Bool {
        switch self {
        case .jcc, .jmp, .jcxz, .loop, .loope, .loopne, .call, .ret, .jmpFar, .callFar, .retFar, .iret, .int,
            .int3,
            .into, .bound, .ud, .popf, .popSegment, .movToSegment, .lss:
            true
        default: false
        }
    }

    /// Whether a trap may come one instruction late: POPF sets TF, a load of SS holds traps off.
    var delaysTraps: Bool {
        switch self {
        case .popf, .popSegment, .movToSegment, .lss: true
        default: false
        }
    }

    var isString: Bool {
        switch self {
        case .movs, .cmps, .stos, .lods, .scas, .ins, .outs: true
        default: false
        }
    }

    var ignoresModBits: Bool {
        switch self {
        case .movFromControl, .movToControl, .movFromDebug, .movToDebug: true
        default: false
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Turns the decoded instructions of one block into machine code. This file has the frame: entry, the
// instructions in turn, out-of-line parts; and who keeps the guest's flags where.
//
// The guest's arithmetic flags are either in the host's flags or saved in the state (`flagImage`).
// Inserted code may spoil the host's flags when the guest's are dead there or have been saved. Each block can
// be entered either way; the entry that wants flags in the host's falls into saving them where the block
// needs them later.

import X86

/// Where the guest's live flags are.
enum FlagPlace {
    case host, saved, both
}

final class BlockEmitter {
    let cache: TranslationCache
    let thunks: Thunks
    let layout: StateLayout
    let bias: Int
    let hasBMI2: Bool
    @exclusivity(unchecked) var a: Assembler
    @exclusivity(unchecked) var place = FlagPlace.saved
    /// Flags live before each instruction, and after the last one.
    @exclusivity(unchecked) var live: [UInt8] = []
    @exclusivity(unchecked) var instructions: [Instruction] = []
    @exclusivity(unchecked) var addresses: [UInt32] = []
    /// Number that the block will have.
    @exclusivity(unchecked) var block: Int32 = 0
    /// Whether code before has made sure that the unit's registers are there.
    @exclusivity(unchecked) var hasSSE = false
    @exclusivity(unchecked) var hasX87 = false
    /// Code behind the block, emitted last.
    @exclusivity(unchecked) var outOfLine: [() -> Void] = []
    /// Offset behind each instruction's code, and where the flags are there.
    @exclusivity(unchecked) var ends: [Int] = []
    @exclusivity(unchecked) var placesAfter: [FlagPlace] = []
    /// Instruction in front of which the budget is looked at, or -1.
    @exclusivity(unchecked) var budgetCheck = -1
    /// Host address of the block's bytes.
    @exclusivity(unchecked) var host: UInt = 0
    /// Whether the block compares its bytes with those it was made from.
    @exclusivity(unchecked) var checksItself = false
    /// Whether memory operands go through the window, or the direct one.
    @exclusivity(unchecked) var usesWindow = false
    /// Which of them do not (see `canUseWindow`).
    @exclusivity(unchecked) var flatness: UInt8 = 0
    /// Elements that one string instruction may move at a time in the window: what takes longer is interrupted in
    /// between.
    @exclusivity(unchecked) var repeatLimit: Int32 = 1 << 18
    /// Whether cached descriptors are to be compared with the guest's table in memory.
    @exclusivity(unchecked) var comparesDescriptors = false
    /// What ESP is still to be changed by.
    @exclusivity(unchecked) var stackDelta: Int32 = 0
    /// While the body of an access is emitted for the window.
    @exclusivity(unchecked) var inWindow = false
    /// Linear address of the block.
    @exclusivity(unchecked) var eip: UInt32 = 0
    /// Address behind the last instruction.
    @exclusivity(unchecked) var endEIP: UInt32 = 0

    init(cache: TranslationCache, thunks: Thunks, layout: StateLayout, bias: Int, hasBMI2: Bool) {
        self.cache = cache
        self.thunks = thunks
        self.layout = layout
        self.bias = bias
        self.hasBMI2 = hasBMI2
        a = Assembler(cache.code, bias: bias)
    }

    /// Emits the block of `instructions`, which begin at linear address `eip` and host address `host`. A
    /// block that is one split instruction also has the entry of the execute table for its second page.
    func emit(
        _ decoded: [Instruction], eip: UInt32, host: UInt, secondPage: UInt? = nil, flagsInHost: Bool = false
    ) -> TranslatedBlock {
        a.here = (cache.code.top + 15) & ~15
        flatness = cache.path == .direct ? cache.flatness[host] ?? 0 : 0
        usesWindow = cache.path != .flat && flatness < BlockEmitter.allFlat
        a.windowHasBase = cache.path == .window
        stackDelta = 0
        instructions = decoded
        self.eip = eip
        block = Int32(cache.blocks.count)
        outOfLine.removeAll(keepingCapacity: true)
        hasSSE = false
        hasX87 = false
        ends.removeAll(keepingCapacity: true)
        placesAfter.removeAll(keepingCapacity: true)
        addresses.removeAll(keepingCapacity: true)
        var address = eip
        for i in decoded {
            addresses.append(address)
            address &+= UInt32(i.length)
        }
        endEIP = address
        findLiveFlags()
        self.host = host
        checksItself = cache.checksItself(host)
        let wantsLiveFlags = flagsInHost && live[0] != 0 && secondPage == nil && !checksItself
        let entries = wantsLiveFlags ? emitLiveEntry() : emitEntry(secondPage)
        for k in 0..<decoded.count {
            if k == budgetCheck {
                settleStack()
                emitBudgetCheck(k)
            }
            if stackDelta != 0 && !canDeferStack(k) { settleStack() }
            emitInstruction(k)
            ends.append(a.here)
            placesAfter.append(place)
        }
        settleStack()
        if !NativeSupport.endsBlock(decoded[decoded.count - 1]) {
            // Ended by its length or the page: go on behind it.
            emitLink(to: endEIP)
        }
        var n = 0
        while n < outOfLine.count {
            outOfLine[n]()
            n += 1
        }
        outOfLine.removeAll(keepingCapacity: true)
        cache.code.top = a.here
        return TranslatedBlock(
            host: host, eip: eip, byteCount: Int32(truncatingIfNeeded: endEIP &- eip),
            savedEntry: Int32(entries.saved), liveEntry: Int32(entries.live), next: -1,
            path: cache.path,
            wantsLiveFlags: wantsLiveFlags)
    }

    private func findLiveFlags() {
        let count = instructions.count
        live.removeAll(keepingCapacity: true)
        for _ in 0...count { live.append(FlagEffects.all) }
        for k in stride(from: count - 1, through: 0, by: -1) {
            let i = instructions[k]
            // Where a conditional jump leads, all flags may be read.
            let effects =
                switch i.operation {
                case .jcc, .pushf, .popf: FlagEffects.byHelper
                default: NativeSupport.handles(i) ? FlagEffects(i) : .byHelper
                }
            // A fault shows all flags as they were before the instruction.
            live[k] = NativeSupport.mayFault(i) ? FlagEffects.all : effects.before(live[k + 1])
        }
    }

    /// Counts the block's instructions and leaves when the budget is used up.
    private func emitEntry(_ secondPage: UInt?) -> (saved: Int, live: Int) {
        let liveEntry = a.here
        if live[0] != 0 { a.saveFlags(layout) }
        let savedEntry = a.here
        if let secondPage { checkSecondPage(secondPage) }
        if checksItself { checkBytes() }
        budgetCheck = -1
        let count = Int32(instructions.count)
        a.alu(5, .register(Host.budget), count, wide: true)
        let stub = a.jump(if: Condition.s)
        place = .saved
        outOfLine.append { [self] in
            a.bind(stub)
            a.lea64(Host.budget, .at(Host.budget, count))
            a.immediate(Host.r11, eip)
            a.jump(to: thunks.budget)
        }
        return (savedEntry, liveEntry)
    }

    /// The entry of a block that keeps the flags in the host's: the budget is looked at where they are dead.
    private func emitLiveEntry() -> (saved: Int, live: Int) {
        let savedEntry = a.here
        a.restoreFlags(layout)
        let liveEntry = a.here
        place = .host
        let count = Int32(instructions.count)
        a.lea64(Host.budget, .at(Host.budget, -count))
        budgetCheck = live[..<instructions.count].firstIndex(of: 0) ?? -1
        if budgetCheck < 0 {
            a.saveFlags(layout)
            place = .saved
            emitBudgetCheck(0)
        }
        return (savedEntry, liveEntry)
    }

    /// Leaves in front of instruction `k` when the budget is used up. The flags are saved or dead.
    private func emitBudgetCheck(_ k: Int) {
        a.op(0x85, reg: Host.budget, .register(Host.budget), wide: true)
        let stub = a.jump(if: Condition.s)
        place = .saved
        let left = Int32(instructions.count - k)
        outOfLine.append { [self] in
            a.bind(stub)
            a.lea64(Host.budget, .at(Host.budget, left))
            a.immediate(Host.r11, addresses[k])
            a.jump(to: thunks.budget)
        }
    }

    private func checkSecondPage(_ entry: UInt) {
        let page = Int32(bitPattern: ((eip | 0xFFF) &+ 1) >> 12)
        a.load64(Host.r11, a.field(layout.executeTable))
        a.immediate64(Host.r9, UInt64(entry))
        a.op(0x3B, reg: Host.r9, .at(Host.r11, page * 8), wide: true)
        let stub = a.jump(if: Condition.ne)
        outOfLine.append { [self] in
            a.bind(stub)
            a.immediate(Host.r11, eip)
            a.jump(to: thunks.moved)
        }
    }

    // Flags

    /// Before code that spoils the host's flags ahead of (or instead of) instruction `k`.
    func preserveFlags(_ k: Int) {
        if live[k] != 0 && place == .host { a.saveFlags(layout) }
        place = .saved
    }

    /// What must be put into the host's flags before instruction `k` itself runs.
    enum Restore {
        case nothing, carry, all
    }

    func neededRestore(_ k: Int) -> Restore {
        guard place == .saved else { return .nothing }
        let effects = FlagEffects(instructions[k])
        guard effects.reads != 0 || effects.writes != 0 else { return .nothing }
        let needed = effects.reads | live[k + 1] & ~effects.writes
        if needed == 0 { return .nothing }
        return needed == FlagEffects.carry ? .carry : .all
    }

    func restore(_ what: Restore) {
        switch what {
        case .nothing: break
        case .carry: a.restoreCarry(layout)
        case .all: a.restoreFlags(layout)
        }
    }

    /// After instruction `k` itself has run on the host's flags.
    func flagsWritten(_ k: Int, restored: Restore) {
        let effects = FlagEffects(instructions[k])
        if effects.writes != 0 || effects.reads == FlagEffects.all {
            place = .host
        } else if restored == .all {
            place = .both
        }
    }

    // Helpers

    /// Carries out instruction `k` by the processor core.
    func emitHelper(_ k: Int) {
        preserveFlags(k)
        let i = instructions[k]
        let ends = k == instructions.count - 1 && NativeSupport.endsBlock(i)
        let number = addHelper(k, endsBlock: ends)
        a.immediate(Host.r11, number)
        a.call(thunks.helper)
        if ends { a.jump(to: thunks.resume) }
        place = .saved
    }

    /// Crosses between user and kernel code by a fixed piece that knows how, or by the processor core.
    func emitCrossing(_ k: Int, _ thunk: Int) {
        preserveFlags(k)
        a.immediate(Host.r11, addHelper(k, endsBlock: true))
        a.immediate(Host.r9, endEIP)
        a.jump(to: thunk)
    }

    func addHelper(_ k: Int, endsBlock: Bool, missedWindow: Bool = false) -> UInt32 {
        cache.helpers.append(
            HelperRecord(
                instruction: instructions[k], eip: addresses[k], block: block,
                left: UInt8(instructions.count - k), endsBlock: endsBlock, missedWindow: missedWindow))
        return UInt32(cache.helpers.count - 1)
    }

    /// Jumps to where instruction `k` is carried out by the processor core after all if `condition` holds; the
    /// flags must be saved or dead.
    /// `leaves`: generated code is left behind it.
    func fallBack(_ k: Int, if condition: Int, leaves: Bool = false) {
        let jump = a.jump(if: condition)
        outOfLine.append { [self] in
            a.bind(jump)
            let last = leaves || k == instructions.count - 1 && NativeSupport.endsBlock(instructions[k])
            let number = addHelper(k, endsBlock: last)
            a.immediate(Host.r11, number)
            a.call(thunks.helper)
            if last {
                a.jump(to: thunks.resume)
                return
            }
            if placesAfter[k] != .saved { a.restoreFlags(layout) }
            a.jump(to: ends[k])
        }
    }
}

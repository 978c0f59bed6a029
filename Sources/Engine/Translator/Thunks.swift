// SPDX-License-Identifier: Apache-2.0
//
// The fixed pieces of generated code: in and out of it, and the ways from it to the functions in
// `TranslatorCalls`. Between them the guest's registers are the host's (see `Host`).
//
// Generated code has a stack of its own. A guest's CALL leaves there the address that the guest's RET should come
// back to, and is a call of the host, so that the host's processor predicts where a RET goes. A RET that finds
// another address than expected looks further up and else starts with an empty stack: what is there is never
// more than a guess.

import X86

/// Addresses of the functions that thunks call.
struct ThunkCalls {
    var helper: UInt
    var access: UInt
    var commit: UInt
}

/// Why generated code was left; values of `TranslatorState.exitReason`.
enum ExitReason {
    /// `exitLink` is the link whose target is wanted.
    static let link: UInt32 = 0
    /// EIP is the target of an indirect jump that the table does not know.
    static let indirect: UInt32 = 1
    /// The budget is used up.
    static let budget: UInt32 = 2
    /// The engine has an exit to report.
    static let event: UInt32 = 3
    /// Go on at EIP.
    static let resume: UInt32 = 4
    /// The second page of the split instruction at EIP is not where it was.
    static let moved: UInt32 = 5
    /// The bytes of the block at EIP are not what was translated.
    static let stale: UInt32 = 6
    /// EIP is where indirect jump `exitLink` goes for the first time.
    static let firstIndirect: UInt32 = 7
}

/// Offsets of the fixed pieces.
struct Thunks {
    let enter: Int
    private(set) var link = 0
    private(set) var linkSavingFlags = 0
    private(set) var indirectMiss = 0
    private(set) var budget = 0
    private(set) var moved = 0
    private(set) var stale = 0
    private(set) var firstIndirect = 0
    /// For a RET to R9: the stack has another address on top; it has nothing of use.
    private(set) var returnMiss = 0
    private(set) var returnReset = 0
    private(set) var helper = 0
    /// On at the state's EIP, from memory.
    private(set) var dispatch = 0
    /// The same with the registers loaded, behind a helper that has come back.
    private(set) var resume = 0
    private(set) var crossings: CrossingThunks
    /// By log2 of the operand's size: reads, writes, reads followed by writes.
    private(set) var read: [Int] = []
    private(set) var write: [Int] = []
    private(set) var modify: [Int] = []
    private(set) var commit = 0
    /// Bring in the guest's registers of a unit; CF tells that the guest must not use it here, or uses it with
    /// unmasked exceptions.
    private(set) var loadSSE = 0
    private(set) var loadX87 = 0

    private static let saved = [Host.rbx, Host.rbp, 12, 13, 14, 15]

    /// Emits all of them at the cache's start.
    init(
        _ cache: CodeCache, layout: StateLayout, bias: Int, calls: ThunkCalls, hasBMI2: Bool, hasWindows: Bool
    ) {
        var a = Assembler(cache, bias: bias)
        enter = a.here
        for register in Thunks.saved { Thunks.push(&a, register) }
        a.alu(5, .register(Host.rsp), 8, wide: true)
        a.lea64(Host.state, .at(Host.rdi, Int32(bias)))
        a.move64(Host.r11, Host.rsi)
        a.store64(a.field(layout.hostStack), Host.rsp)
        a.load64(Host.rsp, a.field(layout.codeStackBase))
        Thunks.loadGuest(&a, layout)
        if hasWindows { Thunks.enterWindow(&a, layout, always: true) }
        a.jump(register: Host.r11)

        let leave = a.here
        a.storeImmediate(a.field(layout.hasSSE), 0)
        a.storeImmediate(a.field(layout.hasX87), 0)
        a.load64(Host.rsp, a.field(layout.hostStack))
        a.alu(0, .register(Host.rsp), 8, wide: true)
        for register in Thunks.saved.reversed() { Thunks.pop(&a, register) }
        a.ret()

        func exit(_ reason: UInt32, _ body: (inout Assembler) -> Void) -> Int {
            let start = a.here
            body(&a)
            a.storeImmediate(a.field(layout.exitReason), reason)
            Thunks.storeGuest(&a, layout)
            a.jump(to: leave)
            return start
        }
        linkSavingFlags = a.here
        a.saveFlags(layout)
        link = exit(ExitReason.link) { $0.store($0.field(layout.exitLink), Host.r11) }
        indirectMiss = exit(ExitReason.indirect) { $0.store($0.field(layout.eip), Host.r9) }
        budget = exit(ExitReason.budget) { $0.store($0.field(layout.eip), Host.r11) }
        moved = exit(ExitReason.moved) { $0.store($0.field(layout.eip), Host.r11) }
        firstIndirect = exit(ExitReason.firstIndirect) {
            $0.store($0.field(layout.eip), Host.r9)
            $0.store($0.field(layout.exitLink), Host.r11)
        }
        stale = exit(ExitReason.stale) { $0.store($0.field(layout.eip), Host.r11) }

        // A RET to R9, where the stack has something else on top. Entries have 16 bytes.
        returnMiss = a.here
        for entry in Int32(1)...3 {
            a.op(0x3B, reg: Host.r9, .at(Host.rsp, 16 * entry + 8))
            let differs = a.shortJump(0x75)
            a.lea64(Host.rsp, .at(Host.rsp, 16 * entry))
            a.ret()
            a.bindShort(differs)
        }
        returnReset = a.here
        a.load64(Host.rsp, a.field(layout.codeStackBase))
        Thunks.indirect(&a, layout, miss: indirectMiss, hasBMI2: hasBMI2)

        // After a call from a piece that was itself called: on at EIP.
        dispatch = a.here
        a.load64(Host.rsp, a.field(layout.codeStack))
        a.lea64(Host.rsp, .at(Host.rsp, 8))
        // Floating-point registers come back when they are used, after a look whether they may be.
        a.storeImmediate(a.field(layout.hasSSE), 0)
        a.storeImmediate(a.field(layout.hasX87), 0)
        Thunks.loadGuest(&a, layout)
        if hasWindows { Thunks.enterWindow(&a, layout) }
        a.load(Host.r9, a.field(layout.eip))
        Thunks.indirect(&a, layout, miss: indirectMiss, hasBMI2: hasBMI2)
        // The same, without a look at the stack: the host's prediction of returns stays right.
        resume = a.here
        if hasWindows { Thunks.enterWindow(&a, layout) }
        a.load(Host.r9, a.field(layout.eip))
        Thunks.indirect(&a, layout, miss: indirectMiss, hasBMI2: hasBMI2)

        helper = a.here
        Thunks.storeGuest(&a, layout)
        Thunks.toHostStack(&a, layout)
        a.load64(Host.rdi, a.field(layout.context))
        a.move(Host.rsi, Host.r11)
        a.immediate64(Host.rax, UInt64(calls.helper))
        a.call(register: Host.rax)
        a.op(0x85, reg: Host.rax, .register(Host.rax))
        let elsewhere = a.jump(if: Condition.ne)
        a.load64(Host.rsp, a.field(layout.codeStack))
        Thunks.loadGuest(&a, layout)
        a.ret()
        a.bind(elsewhere)
        let after = a.here
        a.alu(7, .register(Host.rax), Int32(AfterCall.leave))
        a.jump(if: Condition.e, to: leave)
        a.jump(to: dispatch)

        for kind in 0..<3 {
            for size in 0..<5 {
                let start = Thunks.access(
                    &a, layout, calls, kind: UInt32(kind), size: 1 << size, leave: leave, dispatch: dispatch)
                switch kind {
                case 0: read.append(start)
                case 1: write.append(start)
                default: modify.append(start)
                }
            }
        }

        commit = a.here
        a.byte(0x9C)  // PUSHFQ
        Thunks.storeGuest(&a, layout)
        a.load64(Host.rsi, .at(Host.rsp))
        Thunks.toHostStack(&a, layout)
        a.load64(Host.rdi, a.field(layout.context))
        a.immediate64(Host.rax, UInt64(calls.commit))
        a.call(register: Host.rax)
        a.op(0x85, reg: Host.rax, .register(Host.rax))
        let proceeds = a.shortJump(0x74)
        // The flags are on that stack, too.
        a.alu(0, a.field(layout.codeStack), 8, wide: true)
        a.jump(to: after)
        a.bindShort(proceeds)
        a.load64(Host.rsp, a.field(layout.codeStack))
        Thunks.loadGuest(&a, layout)
        a.byte(0x9D)  // POPFQ
        a.ret()
        loadSSE = FloatingThunks.loadSSE(&a, layout)
        loadX87 = FloatingThunks.loadX87(&a, layout)
        crossings = CrossingThunks(
            &a, layout,
            common: CrossingThunks.Common(
                helper: helper, resume: resume, indirectMiss: indirectMiss, hasBMI2: hasBMI2,
                hasWindows: hasWindows))
        cache.top = a.here
        cache.fixThunks()
    }

    /// Takes an address in R11, its record in R9, the table's entry in R10. Returns in R10 what to add to R11;
    /// CF tells that this is the bounce buffer. What lies in one page and has an entry costs little.
    private static func access(
        _ a: inout Assembler, _ layout: StateLayout, _ calls: ThunkCalls, kind: UInt32, size: Int, leave: Int,
        dispatch: Int
    ) -> Int {
        let start = a.here
        a.op(0x85, reg: Host.r10, .register(Host.r10), wide: true)
        let missing = a.shortJump(0x74)
        push(&a, Host.r9)
        a.lea(Host.r9, .at(Host.r11, Int32(size - 1)))
        a.op(0x33, reg: Host.r9, .register(Host.r11))
        a.op(0xF7, reg: 0, .register(Host.r9))  // TEST R9D, ~0xFFF: clears CF
        a.word(0xFFFF_F000)
        pop(&a, Host.r9)
        let crossing = a.shortJump(0x75)
        a.ret()
        a.bindShort(missing)
        a.bindShort(crossing)
        a.store(a.field(layout.pendingRecord), Host.r9)
        storeGuest(&a, layout)
        a.store(a.field(layout.pendingAddress), Host.r11)
        toHostStack(&a, layout)
        a.load64(Host.rdi, a.field(layout.context))
        a.move(Host.rsi, Host.r11)
        a.load(Host.rdx, a.field(layout.pendingRecord))
        a.immediate(Host.rcx, kind)
        a.immediate64(Host.rax, UInt64(calls.access))
        a.call(register: Host.rax)
        a.alu(7, .register(Host.rax), 1, wide: true)
        a.jump(if: Condition.b, to: leave)
        a.jump(if: Condition.e, to: dispatch)
        a.load64(Host.rsp, a.field(layout.codeStack))
        a.move64(Host.r10, Host.rax)
        a.load(Host.r11, a.field(layout.pendingAddress))
        loadGuest(&a, layout)
        a.load64(Host.r9, a.field(layout.bounceAddress))
        a.op(0x2B, reg: Host.r9, .register(Host.r11), wide: true)
        a.op(0x3B, reg: Host.r9, .register(Host.r10), wide: true)
        let plain = a.shortJump(0x75)
        a.byte(0xF9)  // STC
        a.ret()
        a.bindShort(plain)
        a.byte(0xF8)  // CLC
        a.ret()
        return start
    }

    /// For a call of the engine's functions, which expect RSP at a multiple of 16.
    private static func toHostStack(_ a: inout Assembler, _ layout: StateLayout) {
        a.store64(a.field(layout.codeStack), Host.rsp)
        a.load64(Host.rsp, a.field(layout.hostStack))
    }

    /// Makes GS point to the window, if there is one; `always`: even if it seems to. Changes `scratch` and flags.
    static func enterWindow(
        _ a: inout Assembler, _ layout: StateLayout, always: Bool = false, scratch: Int = Host.r9
    ) {
        a.load64(scratch, a.field(layout.window))
        a.op(0x85, reg: scratch, .register(scratch), wide: true)
        let none = a.shortJump(0x74)
        a.op(0x3B, reg: scratch, a.field(layout.crossing.gsBase), wide: true)
        let same = always ? nil : a.shortJump(0x74)
        a.writeGSBase(scratch)
        a.store64(a.field(layout.crossing.gsBase), scratch)
        if let same { a.bindShort(same) }
        a.bindShort(none)
    }

    /// Goes on at the linear address in R9; the flags are saved.
    static func indirect(_ a: inout Assembler, _ layout: StateLayout, miss: Int, hasBMI2: Bool) {
        a.pageNumber(Host.r11, Host.r9, hasBMI2: hasBMI2)
        a.load64(Host.r10, a.field(layout.executeTable))
        a.load64(Host.r10, .memory(base: Host.r10, index: Host.r11, scale: 3, displacement: 0))
        a.op(0x33, reg: Host.r11, .register(Host.r9))  // the page number, XOR the address
        a.alu(4, .register(Host.r11), Int32(CodeCache.jumpMask))
        a.op(0xC1, reg: 4, .register(Host.r11))  // SHL: 32 bytes an entry
        a.byte(5)
        a.op(0x03, reg: Host.r11, a.field(layout.jumps), wide: true)
        a.op(0x3B, reg: Host.r9, .at(Host.r11), wide: true)
        a.jump(if: Condition.ne, to: miss)
        a.op(0x3B, reg: Host.r10, .at(Host.r11, 8), wide: true)
        a.jump(if: Condition.ne, to: miss)
        a.op(0xFF, reg: 4, .at(Host.r11, 16))
    }

    private static func push(_ a: inout Assembler, _ register: Int) {
        if register > 7 { a.byte(0x41) }
        a.byte(0x50 | UInt8(register & 7))
    }

    private static func pop(_ a: inout Assembler, _ register: Int) {
        if register > 7 { a.byte(0x41) }
        a.byte(0x58 | UInt8(register & 7))
    }

    /// Guest register numbers and the host's.
    private static let guest = [
        (GPR.eax, Host.rax), (GPR.ecx, Host.rcx), (GPR.edx, Host.rdx), (GPR.ebx, Host.rbx),
        (GPR.esp, Host.esp), (GPR.ebp, Host.rbp), (GPR.esi, Host.rsi), (GPR.edi, Host.rdi),
    ]

    private static func loadGuest(_ a: inout Assembler, _ layout: StateLayout) {
        FloatingThunks.bringBack(&a, layout)
        for (index, register) in guest { a.load(register, a.field(layout.gpr(index))) }
        a.load64(Host.readTable, a.field(layout.readTable))
        a.load64(Host.writeTable, a.field(layout.writeTable))
        a.load64(Host.budget, a.field(layout.budget))
    }

    private static func storeGuest(_ a: inout Assembler, _ layout: StateLayout) {
        for (index, register) in guest { a.store64(a.field(layout.gpr(index)), register) }
        a.store64(a.field(layout.budget), Host.budget)
        FloatingThunks.putAway(&a, layout)
    }
}

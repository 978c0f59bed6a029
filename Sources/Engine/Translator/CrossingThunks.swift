// SPDX-License-Identifier: Apache-2.0
//
// From user code into the kernel and back without the engine: `int $0x80` as the guest interface has prepared it (see
// `SystemCallGate`), SYSENTER and SYSEXIT, and IRET to the segments of the last checked one. What is not an everyday
// crossing goes on in the processor core, with nothing done.
//
// On entry R11 is the record of the instruction, R9 the address behind it; the flags are saved.

import X86

struct CrossingThunks {
    private(set) var systemCall = 0
    private(set) var systemEnter = 0
    private(set) var systemExit = 0
    private(set) var interruptReturn = 0

    /// Flags other than the arithmetic ones with which code may cross: IF, DF, IOPL and ID.
    private static let plainFlags = EFLAGS.interrupt | EFLAGS.df | EFLAGS.iopl | EFLAGS.id | 2
    private static let table = Int32(StateLayout.tableBytes)
    /// EIP, CS, EFLAGS, ESP and SS.
    private static let frameBytes: Int32 = 20

    init(_ a: inout Assembler, _ layout: StateLayout, common: Common) {
        systemCall = a.here
        CrossingThunks.emitSystemCall(&a, layout, common)
        systemEnter = a.here
        CrossingThunks.emitSystemEnter(&a, layout, common)
        systemExit = a.here
        CrossingThunks.emitSystemExit(&a, layout, common)
        interruptReturn = a.here
        CrossingThunks.emitInterruptReturn(&a, layout, common)
    }

    /// What the thunks need of the others.
    struct Common {
        var helper: Int
        var resume: Int
        var indirectMiss: Int
        var hasBMI2: Bool
        var hasWindows: Bool
    }

    /// Jumps that end at the processor core.
    private struct Refusals {
        var early: [Int] = []
        /// RAX and RCX have been put into the state.
        var late: [Int] = []
    }

    // Checks

    /// What must hold in any case. `user`: the crossing starts in user code.
    private static func check(
        _ a: inout Assembler, _ layout: StateLayout, _ refusals: inout Refusals, user: Bool
    ) {
        a.alu(7, a.field(layout.crossing.isAllowed), 0)
        refusals.early.append(a.jump(if: Condition.e))
        for field in [layout.traced, layout.attention] {
            a.alu(7, a.field(field), 0)
            refusals.early.append(a.jump(if: Condition.ne))
        }
        a.op(0xF7, reg: 0, a.field(layout.eflagsOther))
        a.word(~plainFlags)
        refusals.early.append(a.jump(if: Condition.ne))
        if user {
            a.compareByte(a.field(layout.cpl), 3)
            refusals.early.append(a.jump(if: Condition.ne))
            // Neither the guest nor a debugger watches for accesses.
            a.load64(Host.r10, a.field(layout.systemReadTable))
            a.lea64(Host.r10, .at(Host.r10, 2 * table))
            a.op(0x3B, reg: Host.r10, .register(Host.readTable), wide: true)
            refusals.early.append(a.jump(if: Condition.ne))
        } else {
            for field in [layout.systemReadTable, layout.crossing.tables] {
                a.op(0x3B, reg: Host.readTable, a.field(field), wide: true)
                refusals.early.append(a.jump(if: Condition.ne))
            }
        }
    }

    private static func free(_ a: inout Assembler, _ layout: StateLayout) {
        a.store64(a.field(layout.gpr(GPR.eax)), Host.rax)
        a.store64(a.field(layout.gpr(GPR.ecx)), Host.rcx)
    }

    private static func unfree(_ a: inout Assembler, _ layout: StateLayout) {
        a.load64(Host.rax, a.field(layout.gpr(GPR.eax)))
        a.load64(Host.rcx, a.field(layout.gpr(GPR.ecx)))
    }

    private static func emitRefusals(
        _ a: inout Assembler, _ layout: StateLayout, _ common: Common, _ refusals: Refusals
    ) {
        if !refusals.late.isEmpty {
            for jump in refusals.late { a.bind(jump) }
            unfree(&a, layout)
        }
        for jump in refusals.early { a.bind(jump) }
        a.call(common.helper)
        a.jump(to: common.resume)
    }

    // Memory

    /// The entry in `table` of the page of the address in register `address`; refuses where there is none.
    private static func findPage(
        _ a: inout Assembler, of address: Int, table: Int, entry: Int, _ refusals: inout [Int]
    ) {
        a.move(entry, address)
        a.shift(entry, right: true, 12)
        a.load64(entry, .memory(base: table, index: entry, scale: 3, displacement: 0))
        a.op(0x85, reg: entry, .register(entry), wide: true)
        refusals.append(a.jump(if: Condition.e))
    }

    /// The host address in R10 of a frame at the address in register `address`; refuses where it is in two pages, or in
    /// none of the table. Changes `scratch`.
    private static func findFrame(
        _ a: inout Assembler, at address: Int, table: Int, scratch: Int, _ refusals: inout [Int]
    ) {
        a.move(scratch, address)
        a.alu(4, .register(scratch), 0xFFF)
        a.alu(7, .register(scratch), 0x1000 - frameBytes)
        refusals.append(a.jump(if: Condition.a))
        findPage(&a, of: address, table: table, entry: scratch, &refusals)
        a.lea64(Host.r10, .sum(scratch, address))
    }

    // Commitment

    private static func copySegment(_ a: inout Assembler, from: Int, to: Int) {
        a.load64(Host.rax, a.field(from))
        a.store64(a.field(to), Host.rax)
        a.load(Host.rax, a.field(from + 8))
        a.store(a.field(to + 8), Host.rax)
    }

    /// A flat segment whose selector and attributes are in `register`.
    private static func storeFlat(_ a: inout Assembler, _ layout: StateLayout, _ register: Int, to index: Int)
    {
        let to = layout.segmentSelector(index)
        a.store(a.field(to), register)
        a.storeImmediate(a.field(to + 4), 0)
        a.storeImmediate(a.field(to + 8), UInt32.max)
    }

    /// Notes a jump to R9 for crash reports. Changes RAX and RCX.
    private static func recordBranch(_ a: inout Assembler, _ layout: StateLayout) {
        a.load(Host.rax, a.field(layout.branchCursor))
        a.move(Host.rcx, Host.rax)
        a.alu(4, .register(Host.rcx), 15)
        a.store(
            .memory(
                base: Host.state, index: Host.rcx, scale: 2,
                displacement: Int32(layout.branches - a.bias)), Host.r9)
        a.alu(0, .register(Host.rax), 1)
        a.store(a.field(layout.branchCursor), Host.rax)
    }

    private static func count(_ a: inout Assembler, _ field: Int) {
        a.alu(0, a.field(field), 1, wide: true)
    }

    private static func copy64(_ a: inout Assembler, _ from: Int, _ to: Int) {
        a.load64(Host.rax, a.field(from))
        a.store64(a.field(to), Host.rax)
    }

    private static func copy(_ a: inout Assembler, _ from: Int, _ to: Int) {
        a.load(Host.rax, a.field(from))
        a.store(a.field(to), Host.rax)
    }

    /// The table for fetches is in RAX, those for reads and writes are where they belong.
    private static func useTables(_ a: inout Assembler, _ layout: StateLayout) {
        a.store64(a.field(layout.readTable), Host.readTable)
        a.store64(a.field(layout.writeTable), Host.writeTable)
        a.store64(a.field(layout.executeTable), Host.rax)
    }

    /// Goes on in the kernel at R9; the privilege level is in RAX, segments and stack pointer have been set.
    private static func enterKernel(_ a: inout Assembler, _ layout: StateLayout, _ common: Common) {
        let crossing = layout.crossing
        a.op(0x88, reg: Host.rax, a.field(layout.cpl))
        a.shift(Host.rax, right: false, 16)
        a.alu(1, .register(Host.rax), Int32.min)
        a.store(a.field(layout.segmentKey), Host.rax)
        a.load64(Host.readTable, a.field(layout.systemReadTable))
        a.load64(Host.writeTable, a.field(layout.systemWriteTable))
        a.lea64(Host.rax, .at(Host.readTable, 4 * table))
        useTables(&a, layout)
        recordBranch(&a, layout)
        copy64(&a, crossing.kernelJumps, layout.jumps)
        copy(&a, crossing.kernelPath, crossing.path)
        a.op(0xC7, reg: 0, a.field(layout.window), wide: true)
        a.word(0)
        count(&a, crossing.entries)
        // What the kernel leaves on its part of the stack is not for user code to return by.
        a.op(0x3B, reg: Host.rsp, a.field(crossing.lowestKernelStack), wide: true)
        let hasRoom = a.shortJump(0x73)
        a.load64(Host.rsp, a.field(crossing.stackBase))
        a.bindShort(hasRoom)
        a.store64(a.field(crossing.userStack), Host.rsp)
        a.store64(a.field(layout.codeStackBase), Host.rsp)
        a.storeImmediate(a.field(crossing.onKernelStack), 1)
        unfree(&a, layout)
        Thunks.indirect(&a, layout, miss: common.indirectMiss, hasBMI2: common.hasBMI2)
    }

    /// Goes on in user code at R9; segments and stack pointer have been set.
    private static func enterUser(_ a: inout Assembler, _ layout: StateLayout, _ common: Common) {
        let crossing = layout.crossing
        a.op(0xC6, reg: 0, a.field(layout.cpl))
        a.byte(3)
        a.storeImmediate(a.field(layout.segmentKey), 1 << 31 | 3 << 16)
        a.lea64(Host.rax, .at(Host.readTable, 5 * table))
        a.lea64(Host.readTable, .at(Host.readTable, 2 * table))
        a.load64(Host.writeTable, a.field(layout.systemWriteTable))
        a.lea64(Host.writeTable, .at(Host.writeTable, 2 * table))
        useTables(&a, layout)
        recordBranch(&a, layout)
        copy64(&a, crossing.userJumps, layout.jumps)
        copy(&a, crossing.userPath, crossing.path)
        copy64(&a, crossing.userWindow, layout.window)
        if common.hasWindows { Thunks.enterWindow(&a, layout, scratch: Host.rax) }
        count(&a, crossing.returns)
        copy64(&a, crossing.stackBase, layout.codeStackBase)
        a.load64(Host.rsp, a.field(crossing.userStack))
        a.storeImmediate(a.field(crossing.onKernelStack), 0)
        unfree(&a, layout)
        Thunks.indirect(&a, layout, miss: common.indirectMiss, hasBMI2: common.hasBMI2)
    }

    // The instructions

    private static func emitSystemCall(_ a: inout Assembler, _ layout: StateLayout, _ common: Common) {
        let gate = layout.systemCall
        var refusals = Refusals()
        check(&a, layout, &refusals, user: true)
        a.alu(7, a.field(gate.isPrepared), 0)
        refusals.early.append(a.jump(if: Condition.e))
        a.alu(7, .register(Host.rax), Int32(SystemCallGate.watchedLimit))
        let unwatched = a.shortJump(0x73)
        a.op(0xA3, map: 1, reg: Host.rax, a.field(gate.watched))  // BT
        refusals.early.append(a.jump(if: Condition.b))
        a.bindShort(unwatched)
        // The word that stands for IF shares no page with code.
        a.load64(Host.r10, a.field(gate.virtualFlagCode))
        a.compareByte(.at(Host.r10), 0)
        refusals.early.append(a.jump(if: Condition.ne))

        free(&a, layout)
        a.load(Host.rcx, a.field(gate.stackTop))
        a.lea(Host.rcx, .at(Host.rcx, -frameBytes))
        a.load64(Host.r10, a.field(layout.systemWriteTable))
        findFrame(&a, at: Host.rcx, table: Host.r10, scratch: Host.rax, &refusals.late)

        // The frame.
        a.store(.at(Host.r10), Host.r9)
        a.op(0xB7, map: 1, reg: Host.rax, a.field(layout.segmentSelector(SegmentIndex.cs)))
        a.alu(1, .register(Host.rax), 3)
        a.store(.at(Host.r10, 4), Host.rax)
        a.formFlags(layout, to: Host.r9, scratch: Host.rax)
        a.load64(Host.rax, a.field(gate.virtualFlag))
        a.op(0xF6, reg: 0, .at(Host.rax, 1))  // TEST byte
        a.byte(2)
        let enabled = a.shortJump(0x75)
        a.alu(4, .register(Host.r9), ~Int32(EFLAGS.interrupt))
        a.bindShort(enabled)
        a.store(.at(Host.r10, 8), Host.r9)
        a.alu(7, a.field(gate.clearsVirtualFlag), 0)
        let keeps = a.shortJump(0x74)
        a.storeImmediate(.at(Host.rax), 0)
        a.bindShort(keeps)
        a.store(.at(Host.r10, 12), Host.esp)
        a.op(0xB7, map: 1, reg: Host.rax, a.field(layout.segmentSelector(SegmentIndex.ss)))
        a.store(.at(Host.r10, 16), Host.rax)
        a.move(Host.esp, Host.rcx)

        // Handlers of a kernel that is not at privilege 0 always run with the processor's own IF set.
        a.alu(1, a.field(layout.eflagsOther), Int32(EFLAGS.interrupt))
        copySegment(&a, from: gate.code, to: layout.segmentSelector(SegmentIndex.cs))
        copySegment(&a, from: gate.stack, to: layout.segmentSelector(SegmentIndex.ss))
        count(&a, gate.delivered)
        a.load(Host.r9, a.field(gate.target))
        a.load(Host.rax, a.field(gate.level))
        enterKernel(&a, layout, common)
        emitRefusals(&a, layout, common, refusals)
    }

    /// Selector `offset` behind that of SYSENTER's code segment, at privilege `level`, with the attributes of a flat
    /// segment, in `register`; refuses where that MSR is null.
    private static func flatSelector(
        _ a: inout Assembler, _ layout: StateLayout, _ register: Int, offset: Int32, level: Int32,
        attributes: UInt32
    ) {
        a.load(register, a.field(layout.sysenterCS))
        a.alu(0, .register(register), offset)
        a.alu(4, .register(register), 0xFFFC)
        a.alu(1, .register(register), Int32(bitPattern: attributes << 16) | level << 21 | level)
    }

    private static func requireSelector(
        _ a: inout Assembler, _ layout: StateLayout, _ refusals: inout Refusals
    ) {
        a.op(0xF7, reg: 0, a.field(layout.sysenterCS))
        a.word(0xFFFC)
        refusals.early.append(a.jump(if: Condition.e))
    }

    private static func emitSystemEnter(_ a: inout Assembler, _ layout: StateLayout, _ common: Common) {
        var refusals = Refusals()
        check(&a, layout, &refusals, user: true)
        requireSelector(&a, layout, &refusals)
        free(&a, layout)
        flatSelector(&a, layout, Host.rax, offset: 0, level: 0, attributes: 0xC09B)
        storeFlat(&a, layout, Host.rax, to: SegmentIndex.cs)
        flatSelector(&a, layout, Host.rax, offset: 8, level: 0, attributes: 0xC093)
        storeFlat(&a, layout, Host.rax, to: SegmentIndex.ss)
        a.alu(4, a.field(layout.eflagsOther), ~Int32(EFLAGS.interrupt))
        a.load(Host.esp, a.field(layout.sysenterESP))
        a.load(Host.r9, a.field(layout.sysenterEIP))
        a.op(0x33, reg: Host.rax, .register(Host.rax))
        enterKernel(&a, layout, common)
        emitRefusals(&a, layout, common, refusals)
    }

    private static func emitSystemExit(_ a: inout Assembler, _ layout: StateLayout, _ common: Common) {
        var refusals = Refusals()
        check(&a, layout, &refusals, user: false)
        a.compareByte(a.field(layout.cpl), 0)
        refusals.early.append(a.jump(if: Condition.ne))
        requireSelector(&a, layout, &refusals)
        free(&a, layout)
        a.move(Host.esp, Host.rcx)
        a.move(Host.r9, Host.rdx)
        flatSelector(&a, layout, Host.rax, offset: 16, level: 3, attributes: 0xC09B)
        storeFlat(&a, layout, Host.rax, to: SegmentIndex.cs)
        flatSelector(&a, layout, Host.rax, offset: 24, level: 3, attributes: 0xC093)
        storeFlat(&a, layout, Host.rax, to: SegmentIndex.ss)
        enterUser(&a, layout, common)
        emitRefusals(&a, layout, common, refusals)
    }

    private static func emitInterruptReturn(_ a: inout Assembler, _ layout: StateLayout, _ common: Common) {
        let known = layout.returnCache
        var refusals = Refusals()
        check(&a, layout, &refusals, user: false)
        a.op(0x8A, reg: Host.r9, a.field(known.from))
        a.op(0x3A, reg: Host.r9, a.field(layout.cpl))  // CMP byte
        refusals.early.append(a.jump(if: Condition.ne))
        findFrame(&a, at: Host.esp, table: Host.readTable, scratch: Host.r9, &refusals.early)

        free(&a, layout)
        a.load(Host.r9, .at(Host.r10, 4))
        a.shift(Host.r9, right: false, 16)
        a.op(0xB7, map: 1, reg: Host.rax, .at(Host.r10, 16))
        a.op(0x0B, reg: Host.r9, .register(Host.rax))
        a.op(0x3B, reg: Host.r9, a.field(known.key))
        refusals.late.append(a.jump(if: Condition.ne))
        checkDescriptors(&a, layout, &refusals)
        for index in [SegmentIndex.ds, SegmentIndex.es, SegmentIndex.fs, SegmentIndex.gs] {
            // Present, it must have privilege 3 to survive.
            a.op(0xB6, map: 1, reg: Host.rax, a.field(layout.segmentSelector(index) + 2))
            a.alu(4, .register(Host.rax), 0xE0)
            a.alu(7, .register(Host.rax), 0xE0)
            let survives = a.shortJump(0x74)
            a.alu(7, .register(Host.rax), 0x80)
            refusals.late.append(a.jump(if: Condition.ae))
            a.bindShort(survives)
        }
        a.load(Host.r9, .at(Host.r10, 8))
        takeFlags(&a, layout, &refusals)
        copySegment(&a, from: known.code, to: layout.segmentSelector(SegmentIndex.cs))
        copySegment(&a, from: known.stack, to: layout.segmentSelector(SegmentIndex.ss))
        a.load(Host.esp, .at(Host.r10, 12))
        a.load(Host.r9, .at(Host.r10))
        enterUser(&a, layout, common)
        emitRefusals(&a, layout, common, refusals)
    }

    /// Where the descriptor table is in guest memory, it must still say what it said. The selectors are in R9. Changes
    /// RAX and RCX.
    private static func checkDescriptors(
        _ a: inout Assembler, _ layout: StateLayout, _ refusals: inout Refusals
    ) {
        let known = layout.returnCache
        a.alu(7, a.field(known.isInMemory), 0)
        let isPrivate = a.jump(if: Condition.e)
        a.load(Host.rcx, a.field(layout.gdtBase))
        findPage(&a, of: Host.rcx, table: Host.readTable, entry: Host.rax, &refusals.late)
        a.lea64(Host.rcx, .sum(Host.rcx, Host.rax))
        a.op(0xB6, map: 1, reg: Host.rax, .register(Host.r9))
        a.alu(4, .register(Host.rax), 0xF8)
        a.load64(Host.rax, .sum(Host.rcx, Host.rax))
        a.op(0x3B, reg: Host.rax, a.field(known.stackRaw), wide: true)
        refusals.late.append(a.jump(if: Condition.ne))
        a.shift(Host.r9, right: true, 16)
        a.alu(4, .register(Host.r9), 0xF8)
        a.load64(Host.rax, .sum(Host.rcx, Host.r9))
        a.op(0x3B, reg: Host.rax, a.field(known.codeRaw), wide: true)
        refusals.late.append(a.jump(if: Condition.ne))
        a.bind(isPrivate)
    }

    /// EFLAGS from the image in R9: arithmetic flags, and IF where the kernel may set it and nothing waits for that.
    private static func takeFlags(
        _ a: inout Assembler, _ layout: StateLayout, _ refusals: inout Refusals
    ) {
        a.move(Host.rax, Host.r9)
        a.op(0x33, reg: Host.rax, a.field(layout.eflagsOther))
        a.alu(4, .register(Host.rax), ~Int32(EFLAGS.arithmetic | 2))
        let same = a.jump(if: Condition.e)
        a.alu(7, .register(Host.rax), Int32(EFLAGS.interrupt))
        refusals.late.append(a.jump(if: Condition.ne))
        a.op(0xF7, reg: 0, .register(Host.r9))
        a.word(EFLAGS.interrupt)
        refusals.late.append(a.jump(if: Condition.e))
        for field in [layout.cpl, layout.interruptWaits] {
            a.compareByte(a.field(field), 0)
            refusals.late.append(a.jump(if: Condition.ne))
        }
        a.alu(1, a.field(layout.eflagsOther), Int32(EFLAGS.interrupt))
        a.bind(same)
        a.keepFlags(layout, from: Host.r9, scratch: Host.rax)
    }
}

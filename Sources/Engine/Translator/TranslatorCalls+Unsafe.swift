// SPDX-License-Identifier: Apache-2.0
//
// The functions that generated code calls. All guest registers are in the state while they run, the flags in
// `flagImage` or dead.

import X86

/// Where a C function finds its engine.
// SAFETY of all uses: `context` is the pointer that `Translator.run` has put into the state; the engine is
// alive while `run` is on the stack.
private func engine(_ context: UnsafeMutableRawPointer?) -> Unmanaged<Translator> {
    Unmanaged<Translator>.fromOpaque(context.unsafelyUnwrapped)
}

/// What generated code does after a call.
enum AfterCall {
    /// Go on behind it.
    static let proceed: UInt32 = 0
    /// Leave generated code.
    static let leave: UInt32 = 1
    /// Go on at the CPU's EIP.
    static let dispatch: UInt32 = 2
}

/// Carries out the instruction of record `number`; returns an `AfterCall`.
private let helperCall: @convention(c) (UnsafeMutableRawPointer?, UInt32) -> UInt32 = { context, number in
    engine(context)._withUnsafeGuaranteedRef { $0.carryOut(Int(number)) }
}

/// Makes the operand at `address` reachable; returns what to add to the address, 0 to leave, 1 to go on
/// at the CPU's EIP.
private let accessCall: @convention(c) (UnsafeMutableRawPointer?, UInt32, UInt32, UInt32) -> UInt = {
    context, address, record, kind in
    engine(context)._withUnsafeGuaranteedRef { $0.reach(address, Int(record), kind) }
}

/// Writes the bounce buffer back. 0: go on; else leave.
private let commitCall: @convention(c) (UnsafeMutableRawPointer?, UInt64) -> UInt32 = { context, flags in
    engine(context)._withUnsafeGuaranteedRef { $0.commit(flags) }
}

extension ThunkCalls {
    static let all = ThunkCalls(
        helper: unsafeBitCast(helperCall, to: UInt.self), access: unsafeBitCast(accessCall, to: UInt.self),
        commit: unsafeBitCast(commitCall, to: UInt.self))
}

extension Operation {
    /// Position in `allCases`.
    // SAFETY: an enumeration of fewer than 256 cases without payloads is one byte that counts them.
    var number: Int { Int(unsafeBitCast(self, to: UInt8.self)) }
}

extension Translator {
    /// An exit, with all flags in `flagImage`: for the edge to deal with, or for the caller of `run`.
    private func leave(_ exit: Exit, eip: UInt32, notRun: Int, endsBlock: Bool = false) -> UInt32 {
        cpu.eip = eip
        cpu.system.translator.budget += Int64(notRun)
        guard let edge else {
            cpu.system.translator.exitReason = ExitReason.event
            pendingExit = exit
            return AfterCall.leave
        }
        cpu.setFlagImage(cpu.system.translator.flagImage)
        cpu.system.activity = Activity.interface
        let goesOn = edge.attend(exit, cpu)
        cpu.system.activity = Activity.engine
        cpu.system.translator.flagImage = cpu.flagImage
        edgeCounts.note(exit)
        guard goesOn else {
            cpu.system.translator.exitReason = ExitReason.event
            pendingExit = .edge
            return AfterCall.leave
        }
        return dispatch(endsBlock)
    }

    /// A fault, or what only looks like one (see `Fault.beyondAddressSpace`).
    private func leave(_ fault: Fault, eip: UInt32, notRun: Int, endsBlock: Bool = false) -> UInt32 {
        guard fault == .beyondAddressSpace else {
            return leave(.exception(fault), eip: eip, notRun: notRun, endsBlock: endsBlock)
        }
        cpu.eip = eip
        cpu.system.translator.budget += Int64(notRun)
        wantsSingle = true
        cpu.system.translator.exitReason = ExitReason.resume
        return AfterCall.leave
    }

    /// Goes on at the CPU's EIP: in generated code where that can be. `endsBlock`: the caller's code goes on there, too,
    /// when the call returns.
    private func dispatch(_ endsBlock: Bool = false) -> UInt32 {
        guard cpu.attention == 0, cpu.mode == .flat32, connects else {
            cpu.system.translator.exitReason = ExitReason.resume
            return AfterCall.leave
        }
        selectBlocks()
        // After a change of its stack, generated code does not return.
        guard !settleCodeStack(), endsBlock else { return AfterCall.dispatch }
        // Floating-point registers come back when they are used, after a look whether they may be.
        cpu.system.translator.hasSSE = 0
        cpu.system.translator.hasX87 = 0
        return AfterCall.proceed
    }

    private func resume(eip: UInt32, notRun: Int, endsBlock: Bool = false) -> UInt32 {
        cpu.eip = eip
        cpu.system.translator.budget += Int64(notRun)
        return dispatch(endsBlock)
    }

    @inline(__always)
    fileprivate func carryOut(_ number: Int) -> UInt32 {
        let cache = cache
        let cpu = cpu
        followPath()
        let record = cache.helpers[number]
        helperCounts[record.instruction.operation.number] &+= 1
        let left = Int(record.left)
        cpu.eip = record.eip
        cpu.setFlagImage(cpu.system.translator.flagImage)
        let source = cpu[r32: GPR.esi] >> 12
        let destination = cpu[r32: GPR.edi] >> 12
        do throws(Fault) {
            let outcome = try cpu.execute(record.instruction)
            cpu.system.translator.flagImage = cpu.flagImage
            if record.missedWindow {
                if record.instruction.operation == .movs { missed(source, record.block) }
                missed(destination, record.block)
            }
            switch outcome {
            case .advance:
                if record.endsBlock || cpu.attention != 0 || cpu.mode != .flat32
                    || !cache.blocks[Int(record.block)].isAlive || hasWrongBlocks
                {
                    return resume(eip: cpu.eip, notRun: left - 1, endsBlock: record.endsBlock)
                }
                return AfterCall.proceed
            case .repeat: return resume(eip: cpu.eip, notRun: left - 1, endsBlock: record.endsBlock)
            default:
                guard let exit = Interpreter.exit(outcome) else {
                    return resume(eip: cpu.eip, notRun: left - 1, endsBlock: record.endsBlock)
                }
                return leave(exit, eip: cpu.eip, notRun: left - 1, endsBlock: record.endsBlock)
            }
        } catch {
            // SCAS and CMPS have set flags by the elements before the one that faults.
            cpu.system.translator.flagImage = cpu.flagImage
            return leave(error, eip: record.eip, notRun: left, endsBlock: record.endsBlock)
        }
    }

    @inline(__always)
    fileprivate func reach(_ address: UInt32, _ number: Int, _ kind: UInt32) -> UInt {
        followPath()
        let record = cache.accesses[number]
        slowAccesses += 1
        let size = Int(record.size)
        let isWrite = kind != 0
        if cache.path == .direct, record.traits & AccessRecord.windowed != 0,
            !windows.direct.covers(address >> 12)
        {
            cache.makeFlatter(Int(record.block))
        }
        do throws(Fault) {
            try cpu.checkOperand(address, size)
            // An 80-bit number is a quadword and a word to the check of alignment.
            if size == 10 { try cpu.checkOperand(address, 8) }
            // A modification (2) is both.
            if kind != 1 { try cpu.checkWatchpoints(address, size, write: false) }
            if isWrite { try cpu.checkWatchpoints(address, size, write: true) }
            let last = address &+ UInt32(size - 1)
            // SAFETY: the tables have an entry for each of the 2^20 pages.
            if last >> 12 == address >> 12 {
                _ = try cpu.page(address, isWrite ? .write : .read, user: cpu.cpl == 3)
                let table = isWrite ? cpu.system.writeTable : cpu.system.readTable
                let entry = table[Int(address >> 12)]
                if entry != 0 {
                    if record.traits & AccessRecord.windowed != 0 {
                        missed(address >> 12, record.block)
                        if hasWrongBlocks { cutBudget() }
                    }
                    return entry
                }
            } else if isWrite {
                try cpu.probeWriteSlow(address, UInt32(size))
            }
            // Not plain memory, or in two pages: by the bounce buffer. Who looks on wants to know from where.
            cpu.eip = record.eip
            if kind != 1 {
                bounce[0] = try loadPart(address, min(size, 8))
                if size > 8 { bounce[1] = try loadPart(address &+ 8, size - 8) }
            }
            if record.traits & AccessRecord.windowed != 0 { missedParts(address, last, record.block) }
            cpu.system.translator.pendingAddress = address
            cpu.system.translator.pendingRecord = UInt32(number)
            return cpu.system.translator.bounceAddress &- UInt(address)
        } catch {
            let next = leave(error, eip: record.eip, notRun: Int(record.left))
            return next == AfterCall.dispatch ? 1 : 0
        }
    }

    /// A page is in the flat tables that block `number` has not found in its window.
    private func missed(_ page: UInt32, _ number: Int32) {
        if cache.path != .direct {
            windows.miss(page)
        } else if !windows.direct.miss(page, cpu) && windows.direct.isOpen {
            cache.makeFlatter(Int(number))
        }
    }

    /// An operand of block `number` lies in two pages of which one is not in the window, or not in memory.
    private func missedParts(_ first: UInt32, _ last: UInt32, _ number: Int32) {
        guard cache.path == .direct, first <= last else { return }
        for page in (first >> 12)...(last >> 12) where windows.direct.covers(page) {
            if cpu.system.readTable[Int(page)] != 0 { missed(page, number) }
        }
    }

    /// 2, 4 or 8 bytes, or one.
    private func loadPart(_ address: UInt32, _ size: Int) throws(Fault) -> UInt64 {
        try cpu.loadSlow(address, size, user: cpu.cpl == 3)
    }

    /// The bounce buffer as two quadwords.
    private var bounce: UnsafeMutablePointer<UInt64> {
        // SAFETY: `run` has put the address of 16 bytes in the state there.
        UnsafeMutablePointer(bitPattern: cpu.system.translator.bounceAddress).unsafelyUnwrapped
    }

    @inline(__always)
    fileprivate func commit(_ flags: UInt64) -> UInt32 {
        followPath()
        let address = cpu.system.translator.pendingAddress
        let record = cache.accesses[Int(cpu.system.translator.pendingRecord)]
        let size = Int(record.size)
        cpu.eip = record.eip
        do throws(Fault) {
            try cpu.storeSlow(address, min(size, 8), bounce[0], user: cpu.cpl == 3)
            if size > 8 { try cpu.storeSlow(address &+ 8, size - 8, bounce[1], user: cpu.cpl == 3) }
        } catch {
            preconditionFailure("a store that had been probed faulted")
        }
        if record.traits & AccessRecord.endsBlock != 0 { return 0 }
        if cache.blocks[Int(record.block)].isAlive, cpu.attention == 0 { return 0 }
        // The block has overwritten itself: what comes next is not what was translated. Or the store was for a
        // device, which has raised an interrupt.
        if record.traits & AccessRecord.flagsLive != 0 {
            let image = UInt32(truncatingIfNeeded: flags)
            cpu.system.translator.flagImage = (image & 0xD5 | 2) << 8 | (image >> 11) & 1
        }
        return resume(eip: record.eip &+ UInt32(record.length), notRun: Int(record.left) - 1)
    }
}

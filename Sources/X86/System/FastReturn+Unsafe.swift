// SPDX-License-Identifier: Apache-2.0
//
// IRET as a paravirtual kernel uses it all the time: back to the user code that it came from, whose segments
// have been checked before.

extension CPU {
    /// Carries out a 32-bit IRET to the segments of the last checked one; the new arithmetic flags are those of the
    /// image that it returns. Nil, with nothing done, where that is not what the frame says.
    public func returnAsBefore() -> UInt32? {
        let known = system.returnCache
        let top = self[r32: GPR.esp]
        guard known.key != 0, known.isInMemory == 0, known.from == cpl, eflagsOther & EFLAGS.nt == 0,
            top & 0xFFF <= 0x1000 - 20,
            mode == .flat32
        else { return nil }
        // SAFETY: the table has an entry for each page; the frame lies in this one.
        let entry = state.pointee.readTable[Int(top >> 12)]
        guard entry != 0 else { return nil }
        let frame = UnsafeRawPointer(bitPattern: entry &+ UInt(top)).unsafelyUnwrapped
        func word(_ n: Int) -> UInt32 { frame.loadUnaligned(fromByteOffset: 4 * n, as: UInt32.self) }
        let image = word(2)
        guard (word(1) & 0xFFFF) << 16 | word(4) & 0xFFFF == known.key,
            image & (EFLAGS.vm | EFLAGS.tf | EFLAGS.nt | EFLAGS.rf | EFLAGS.ac) == 0,
            eflagsOther & EFLAGS.ac == 0,
            isReachable(SegmentIndex.ds), isReachable(SegmentIndex.es), isReachable(SegmentIndex.fs),
            isReachable(SegmentIndex.gs)
        else { return nil }
        let target = word(0)
        let newTop = word(3)
        let allowed = popfMask & ~EFLAGS.arithmetic
        let old = eflagsOther
        eflagsOther = old & ~allowed & ~EFLAGS.rf | image & allowed | 2
        if eflagsOther & ~old & EFLAGS.interrupt != 0 { attention |= Attention.interrupt }
        self[segment: SegmentIndex.cs] = known.code
        self[segment: SegmentIndex.ss] = known.stack
        setPrivilege(UInt8(known.code.selector & 3))
        self[r32: GPR.esp] = newTop
        eip = target
        recordBranch(to: target)
        traceUser()
        return image
    }

    /// Whether a data segment register survives a return to ring 3.
    private func isReachable(_ index: Int) -> Bool {
        let attributes = self[segment: index].attributes
        // Not present, or privilege 3.
        return attributes & 0x80 == 0 || attributes & 0x60 == 0x60
    }

    /// Goes to `target` in a flat code segment at privilege `level`, perhaps with a new flat stack, from a flat
    /// mode: what a guest interface does when it delivers a trap. All other rights have been checked.
    public func enterFlat(_ code: SegmentRegister, stack: SegmentRegister?, level: UInt8, at target: UInt32) {
        self[segment: SegmentIndex.cs] = code
        if let stack { self[segment: SegmentIndex.ss] = stack }
        if cpl != level { setPrivilege(level) }
        eip = target
        recordBranch(to: target)
        if mode != .flat32 || !code.isFlat || !code.isBig || !(stack?.isFlat ?? true)
            || !(stack?.isBig ?? true)
        {
            updateMode()
        }
    }

    /// Pushes words with supervisor rights below `top`, last one lowest, if they have an entry in the table and lie
    /// in one page; returns the new top, or nil with nothing done.
    public func pushWithin(_ words: Span<UInt32>, below top: UInt32) -> UInt32? {
        let bytes = UInt32(words.count * 4)
        let new = top &- bytes
        guard new & 0xFFF <= 0x1000 - bytes, owner.rehearsal == nil else { return nil }
        // SAFETY: as above.
        let entry = state.pointee.systemWriteTable[Int(new >> 12)]
        guard entry != 0 else { return nil }
        let frame = UnsafeMutableRawPointer(bitPattern: entry &+ UInt(new)).unsafelyUnwrapped
        for n in 0..<words.count {
            frame.storeBytes(of: words[words.count - 1 - n], toByteOffset: 4 * n, as: UInt32.self)
        }
        return new
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Entering a handler as a paravirtual kernel's interface does it all the time: flat segments that have been checked
// before, a frame in one page.

extension CPU {
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
        guard owner.rehearsal == nil, let frame = plainMemory(new, bytes, in: system.systemWriteTable)
        else { return nil }
        // SAFETY: `bytes` bytes are there.
        for n in 0..<words.count {
            frame.storeBytes(of: words[words.count - 1 - n], toByteOffset: 4 * n, as: UInt32.self)
        }
        return new
    }
}

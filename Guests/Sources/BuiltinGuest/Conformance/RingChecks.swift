// SPDX-License-Identifier: Apache-2.0
//
// The asynchronous ring. The queued calls are LOAD_GDT_ENTRY: which base address the scratch segment has
// afterwards tells which of them was carried out last.
import Machine

enum RingChecks {
    static func run() {
        inOrder()
        beforeTheCall()
        onlyByHypercalls()
        wrapping()
        full()
        GDT.set(GDT.scratch, .empty)
    }

    private static let selector = GDT.scratch << 3 | 1

    /// A segment whose first word is at a place of ours that holds `number`.
    private static func segment(_ number: UInt32) -> SegmentDescriptor {
        Memory.write32(Scratch.page + number * 4, 0x5E60_0000 | number)
        return SegmentDescriptor(
            .data, base: (Scratch.page + number * 4).value, limit: 3, pages: false, privilege: 0)
    }

    private static func queue(_ number: UInt32, ready: UInt8 = 0) -> Bool {
        let descriptor = segment(number)
        return AsyncRing.queue(.loadGDTEntry, GDT.scratch, descriptor.low, descriptor.high, ready: ready)
    }

    /// Which segment is in force.
    private static var inForce: Probe.Outcome { Probe.run(probe_read_fs, selector, 0) }

    private static func inOrder() {
        AsyncRing.flush()
        Check.equal("ring/free-at-start", AsyncRing.waiting, 0)
        for number in 1...UInt32(5) { _ = queue(number) }
        Check.equal("ring/waits", AsyncRing.waiting, 5)
        AsyncRing.flush()
        Check.equal("ring/drained-by-flush", AsyncRing.waiting, 0)
        Check.result("ring/in-order", inForce, 0x5E60_0005)
        for number in 6...UInt32(8) { _ = queue(number, ready: UInt8(number)) }
        AsyncRing.flush()
        Check.result("ring/any-status-but-free-counts", inForce, 0x5E60_0008)
    }

    private static func beforeTheCall() {
        _ = queue(1)
        GDT.set(GDT.scratch, segment(2))
        Check.equal("ring/drained-by-any-hypercall", AsyncRing.waiting, 0)
        Check.result("ring/drained-before-the-call-itself", inForce, 0x5E60_0002)
    }

    private static func onlyByHypercalls() {
        _ = queue(3)
        _ = Probe.runThrough(probe_breakpoint)
        _ = Probe.run(probe_divide)
        Check.equal("ring/not-drained-by-traps", AsyncRing.waiting, 1)
        Check.result("ring/not-carried-out-early", inForce, 0x5E60_0002)
        AsyncRing.flush()
        Check.result("ring/carried-out-in-the-end", inForce, 0x5E60_0003)
    }

    /// Five times 48 calls take the cursors around the ring more than three times.
    private static func wrapping() {
        var queued: UInt32 = 0
        var right = true
        for round in 0..<UInt32(5) {
            for number in 0..<UInt32(48) where queue(number + round) { queued += 1 }
            AsyncRing.flush()
            right = right && AsyncRing.waiting == 0
            let outcome = inForce
            right = right && !outcome.trapped && outcome.value == 0x5E60_0000 | (47 + round)
        }
        Check.equal("ring/wraps-without-refusing", queued, 240)
        Check.that("ring/wraps-in-order", right)
    }

    /// All 64 slots, then one call more, which has to be made directly and drains the ring.
    private static func full() {
        var queued: UInt32 = 0
        for number in 0..<UInt32(64) where queue(number) { queued += 1 }
        Check.equal("ring/takes-64", queued, 64)
        Check.equal("ring/64-waiting", AsyncRing.waiting, 64)
        let more = queue(65)
        Check.that("ring/full-means-direct", !more && AsyncRing.waiting == 0)
        Check.result("ring/full-in-order", inForce, 0x5E60_0041)
    }
}

/// A page of kernel memory for checks that need some.
enum Scratch {
    nonisolated(unsafe) private static var frame: PhysicalAddress?

    static var page: VirtualAddress {
        if let frame { return frame.inKernel }
        let new = PageFrames.allocate()
        frame = new
        return new.inKernel
    }
}

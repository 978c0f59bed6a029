// SPDX-License-Identifier: Apache-2.0
//
// `hypercalls` and `async`: what is asked of the hypervisor, and how to ask less often.

enum CallCommands {
    static func counts() {
        var total: UInt32 = 0
        for number in 0..<Hypercall.numbers {
            let count = Hypercall.counts[Int(number)]
            guard let call = Hypercall(rawValue: number), count != 0 else { continue }
            say("  \(count, width: 8)  \(number, width: 2) \(call.name)")
            total += count
        }
        say("  \(total, width: 8)  in all, \(Hypercall.queued) of them through the ring")
    }

    static func asynchronous() {
        let descriptor = SegmentDescriptor.empty
        let rounds: UInt32 = 4000

        for _ in 0..<8 { AsyncRing.queue(.loadGDTEntry, GDT.scratch, descriptor.low, descriptor.high) }
        let waiting = AsyncRing.waiting
        AsyncRing.flush()
        say("8 calls queued: \(waiting) waiting, \(AsyncRing.waiting) after the next hypercall")

        let start = Timer.now
        for _ in 0..<rounds { GDT.set(GDT.scratch, descriptor) }
        let middle = Timer.now
        for _ in 0..<rounds { AsyncRing.queue(.loadGDTEntry, GDT.scratch, descriptor.low, descriptor.high) }
        AsyncRing.flush()
        let end = Timer.now
        let single = Timer.nanoseconds(middle - start) / UInt64(rounds)
        let queued = Timer.nanoseconds(end - middle) / UInt64(rounds)
        say("one call: \(single) ns by itself, \(queued) ns through the ring")
        if queued >= single { say("(here a trap costs next to nothing, so there is nothing to save)") }
    }
}

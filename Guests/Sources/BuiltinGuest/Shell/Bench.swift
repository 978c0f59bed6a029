// SPDX-License-Identifier: Apache-2.0
//
// `bench`: how fast the hypervisor runs plain code, and what the trips into it cost.
import Machine

enum Bench {
    static func run(seconds: UInt32) {
        integers(seconds: max(seconds, 1))
        report("hypercall", rounds: 20000) { rounds in
            for _ in 0..<rounds { AsyncRing.flush() }
        }
        report("trap in ring 1 (int3)", rounds: 5000) { rounds in
            Traps.mode = .resume
            for _ in 0..<rounds { instruction_breakpoint() }
            Traps.mode = .fatal
        }
        report("system call from ring 3", rounds: 20000) { rounds in _ = UserMode.run(user_call_loop, rounds)
        }
        DemandPaging.with(KernelMap.testWindow, pages: 256) {
            report("page fault and new page", rounds: 256) { rounds in
                for page in 0..<rounds {
                    Memory.write32(KernelMap.testWindow + page * PageFrames.bytes, page)
                }
            }
        }
        report("switch of address space", rounds: 5000) { rounds in
            let other = UserMode.prepare()
            for _ in 0..<rounds / 2 {
                other.activate()
                AddressSpace.kernel.activate()
            }
        }
        report("port read", rounds: 20000) { rounds in
            for _ in 0..<rounds { _ = instruction_in8(0x80, 0) }
        }
    }

    /// A loop of eight instructions, as often as fits.
    private static func integers(seconds: UInt32) {
        let start = Timer.now
        let end = start + Timer.ticks(microseconds: UInt64(seconds) * 1_000_000)
        let portion: UInt32 = 1_000_000
        var rounds: UInt64 = 0
        while Timer.now < end {
            _ = bench_loop(portion)
            rounds += UInt64(portion)
        }
        let time = max(Timer.microseconds(Timer.now - start), 1)
        let rate = rounds * 8 / time
        say("integer loop: \(rounds) rounds of 8 instructions in \(time / 1000) ms, \(rate) million/s")
    }

    private static func report(_ name: StaticString, rounds: UInt32, _ body: (UInt32) -> Void) {
        let start = Timer.now
        body(rounds)
        let time = Timer.nanoseconds(Timer.now - start) / UInt64(rounds)
        say("\(name, width: 24) \(time, width: 8) ns")
    }
}

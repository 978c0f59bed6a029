// SPDX-License-Identifier: Apache-2.0
//
// `traps`, `pagefault`, `user`: stop the processor on purpose and look at what arrives.
import Machine

enum TrapCommands {
    static func traps() {
        show("divide by zero", Probe.run(probe_divide))
        show("int3", Probe.run(probe_breakpoint))
        show("load selector 0x3F0", Probe.run(probe_load_fs, 0x3F0))
        say("so far:")
        for index in 0..<49 where Traps.counts[index] != 0 {
            say("  \(Traps.counts[index], width: 8)  \(Traps.name(UInt32(index)))")
        }
    }

    private static func show(_ what: StaticString, _ outcome: Probe.Outcome) {
        let trap = outcome.trap
        guard outcome.trapped else {
            say("\(what): no trap at all")
            return
        }
        let name = Traps.name(trap.vector)
        say("\(what): vector \(trap.vector) \(name) at \(hex: trap.eip), error \(hex: trap.error)")
    }

    static func pageFaults() {
        let window = KernelMap.testWindow
        let missing = Probe.run(probe_read, window.value)
        say("read \(hex: window.value), not mapped: \(describe(missing.trap))")

        let frame = PageFrames.allocate()
        AddressSpace.current.map(window, to: frame, .present)
        let readOnly = Probe.run(probe_write, window.value, 1)
        say("write to it, mapped read-only: \(describe(readOnly.trap))")
        AddressSpace.current.unmap(window)
        PageFrames.free(frame)

        DemandPaging.with(window, pages: 64) {
            let before = Timer.now
            for page in 0..<UInt32(64) { Memory.write32(window + page * PageFrames.bytes, page) }
            let time = Timer.nanoseconds(Timer.now - before) / 64
            say("64 pages on demand: \(DemandPaging.faults) faults, \(time) ns each")
        }
    }

    private static func describe(_ trap: TrapRecord) -> Text {
        guard trap.vector == 14 else { return "no page fault" }
        let access: StaticString = trap.error & 2 != 0 ? "write" : "read"
        let reason: StaticString = trap.error & 1 != 0 ? "not allowed" : "nothing there"
        let ring: StaticString = trap.error & 4 != 0 ? "ring 3" : "ring 1"
        return "#PF at \(hex: trap.cr2), error \(hex: trap.error) (\(access), \(reason), \(ring))"
    }

    static func user() {
        let calls = UserMode.run(user_calls)
        let result = calls.result ?? 0xFFFF
        say("a program made two system calls and ended with \(result) (0: all registers were kept)")
        let trap = calls.trap
        say("  they came from ring \(trap.cs & 3), stack \(hex: trap.userESP), to ring \(trap.handlerCS & 3)")
        let cli = UserMode.run(user_cli)
        say("a program tried `cli`: \(Traps.name(cli.trap.vector))")
        let peek = UserMode.run(user_read, UInt32(PAGE_OFFSET) + 0x100000)
        say("a program read the kernel: \(describe(peek.trap))")
    }
}

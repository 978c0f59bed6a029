// SPDX-License-Identifier: Apache-2.0
//
// Conformance mode: the guest checks, part by part, that the hypervisor keeps the ABI. One line for each
// check, `ok NAME` or `FAILED NAME: what was wrong`, and at the end `N passed, M failed` alone on a line.

enum Conformance {
    static func run() {
        Check.passed = 0
        Check.failed = 0
        StartChecks.run()
        HypercallChecks.run()
        RingChecks.run()
        SegmentChecks.run()
        GateChecks.run()
        TrapChecks.run()
        UserChecks.run()
        PageTableChecks.run()
        MemoryChecks.run()
        InstructionChecks.run()
        InterruptChecks.run()
        ClockChecks.run()
        PCIChecks.run()
        VirtioChecks.run()
        say("\(Check.passed) passed, \(Check.failed) failed")
        Console.flush()
    }
}

/// The verdicts. What went wrong is an autoclosure, so that the text is made only when somebody will read it.
enum Check {
    nonisolated(unsafe) static var passed: UInt32 = 0
    nonisolated(unsafe) static var failed: UInt32 = 0

    static func that(_ name: StaticString, _ holds: Bool, _ complaint: @autoclosure () -> Text = "not so") {
        if holds { pass(name) } else { fail(name, complaint()) }
    }

    /// Something that holds because we got this far.
    @inline(never)
    static func pass(_ name: StaticString) {
        passed += 1
        say("ok \(name)")
    }

    @inline(never)
    private static func fail(_ name: StaticString, _ complaint: Text) {
        failed += 1
        say("FAILED \(name): \(complaint)")
    }

    static func equal(_ name: StaticString, _ found: UInt32, _ expected: UInt32) {
        that(name, found == expected, "found \(hex: found), expected \(hex: expected)")
    }

    /// The fragment ended without a trap, with this result.
    static func result(_ name: StaticString, _ outcome: Probe.Outcome, _ expected: UInt32) {
        that(
            name, !outcome.trapped && outcome.value == expected,
            outcome.trapped
                ? describe(outcome.trap) : "result \(hex: outcome.value), expected \(hex: expected)"
        )
    }

    /// The fragment trapped at this address with this vector and error code, from ring 1.
    static func trap(
        _ name: StaticString, _ outcome: Probe.Outcome, _ vector: UInt32, error: UInt32 = 0,
        at address: UInt32
    ) {
        let trap = outcome.trap
        that(
            name,
            outcome.trapped && trap.vector == vector && trap.error == error && trap.eip == address
                && trap.cs == 0x61 && trap.handlerCS == 0x61,
            outcome.trapped
                ? "\(describe(trap)); expected vector \(vector), error \(hex: error), at \(hex: address)"
                : "no trap, result \(hex: outcome.value)"
        )
    }

    /// A page fault: also the address that the shared page gives.
    static func pageFault(
        _ name: StaticString, _ outcome: Probe.Outcome, error: UInt32, address: VirtualAddress
    ) {
        let trap = outcome.trap
        that(
            name, outcome.trapped && trap.vector == 14 && trap.error == error && trap.cr2 == address.value,
            outcome.trapped
                ? "\(describe(trap)); expected error \(hex: error), cr2 \(hex: address.value)"
                : "no trap, result \(hex: outcome.value)"
        )
    }

    /// The program in ring 3 ended with this trap.
    static func userTrap(
        _ name: StaticString, _ exit: UserMode.Exit, _ vector: UInt32, error: UInt32 = 0, at address: UInt32
    ) {
        let trap = exit.trap
        that(
            name,
            trap.vector == vector && trap.error == error && trap.eip == address && trap.cs == 0x73
                && trap.userSS == 0x7B,
            "\(describe(trap)); expected vector \(vector), error \(hex: error), at \(hex: address)"
        )
    }

    /// The program in ring 3 ended by itself with this result.
    static func userResult(_ name: StaticString, _ exit: UserMode.Exit, _ expected: UInt32) {
        that(name, exit.result == expected, userComplaint(exit))
    }

    static func userComplaint(_ exit: UserMode.Exit) -> Text {
        if let result = exit.result { return "result \(hex: result)" }
        return describe(exit.trap)
    }

    private static func describe(_ trap: TrapRecord) -> Text {
        let place: Text = "vector \(trap.vector), error \(hex: trap.error), at \(hex: trap.eip)"
        return "\(place), cs \(hex: trap.cs), cr2 \(hex: trap.cr2)"
    }
}

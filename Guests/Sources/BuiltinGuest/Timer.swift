// SPDX-License-Identifier: Apache-2.0
//
// Time. Reading it costs nothing: `rdtsc` counts at the rate that the hypervisor wrote into the shared page.
// Waking up costs one hypercall: SET_CLOCKEVENT arms interrupt 0 once; there is no periodic tick, whoever
// wants one arms it again.
import Machine

enum Timer {
    /// When not zero, the handler arms the clock again with so many nanoseconds.
    nonisolated(unsafe) static var period: UInt32 = 0

    /// When set, the handler writes a one there: how the checks let a program in ring 3 notice an interrupt.
    nonisolated(unsafe) static var userFlag: PhysicalAddress?

    static func start() {
        Interrupts.unblock(Interrupts.timerLine)
    }

    /// Called by the interrupt handler.
    static func fired() {
        if let userFlag { Memory.write32(userFlag, 1) }
        if period != 0 { Hypervisor.setClockEvent(nanoseconds: period) }
    }

    /// Never 0, so that nobody divides by it.
    static var kilohertz: UInt64 { UInt64(max(SharedPage.tscKilohertz, 1)) }

    static var now: UInt64 { instruction_rdtsc() }

    static func microseconds(_ ticks: UInt64) -> UInt64 { ticks &* 1000 / kilohertz }
    static func nanoseconds(_ ticks: UInt64) -> UInt64 { ticks &* 1_000_000 / kilohertz }

    static func ticks(microseconds: UInt64) -> UInt64 { microseconds &* kilohertz / 1000 }

    /// Watches the clock without sleeping, at most for so long, until something has happened. Says whether it
    /// has.
    @discardableResult
    static func spin(microseconds: UInt64, until happened: () -> Bool = { false }) -> Bool {
        let end = now &+ ticks(microseconds: microseconds)
        repeat {
            if happened() { return true }
            instruction_pause()
        } while now < end
        return happened()
    }

    /// As long as anybody waits for what must come, in microseconds. A host may be busy with other things for seconds,
    /// so whoever waits that long and in vain has found something that never comes.
    static let patience: UInt64 = 60_000_000

    /// Watches the clock at least for so long, and carries out so many instructions that the hypervisor has had
    /// several looks at what is due: on a busy host, time alone may pass between two of them.
    static func settle(microseconds: UInt64) {
        let end = now &+ ticks(microseconds: microseconds)
        var rounds: UInt32 = 0
        while rounds < 20_000 || now < end {
            instruction_pause()
            rounds += 1
        }
    }

    /// Sleeps: arms the clock for what is left and halts, until the time is over. Other interrupts may wake
    /// us earlier, hence the loop.
    static func sleep(microseconds: UInt64) {
        let end = now &+ ticks(microseconds: microseconds)
        while true {
            // HALT wakes with interrupts disabled too; this way none can slip in between the look at the
            // clock and the sleep.
            Interrupts.disable()
            let current = now
            guard current < end else { break }
            let left = min(nanoseconds(end &- current), 1_000_000_000)
            Hypervisor.setClockEvent(nanoseconds: UInt32(truncatingIfNeeded: max(left, 1000)))
            Hypervisor.halt()
        }
        Hypervisor.setClockEvent(nanoseconds: 0)
        Interrupts.enable()
    }
}

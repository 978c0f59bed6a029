// SPDX-License-Identifier: Apache-2.0
//
// Interrupts, with the clock as the source: when they come, when they must wait, and what the shared page
// says meanwhile. Nobody acknowledges anything; enabling and unblocking are plain stores, so the hypervisor
// has to look.
import Machine

enum InterruptChecks {
    static func run() {
        plain()
        blocked()
        disabled()
        halting()
        withoutGate()
        ordering()
        storm()
    }

    private static var count: UInt32 { Interrupts.timer.count }

    /// Waits without any hypercall until an interrupt came.
    private static func comes(after before: UInt32) -> Bool {
        Timer.spin(microseconds: Timer.patience) { count != before }
    }

    /// Leaves an interrupt that is due time to come; whether it did.
    private static func came(within microseconds: UInt64, after before: UInt32) -> Bool {
        Timer.settle(microseconds: microseconds)
        return count != before
    }

    private static func arm(milliseconds: UInt32) {
        Hypervisor.setClockEvent(nanoseconds: milliseconds * 1_000_000)
    }

    private static func plain() {
        let before = count
        arm(milliseconds: 2)
        Check.that("interrupt/comes-while-running", comes(after: before))
        Check.equal("interrupt/code-segment-in-frame", Interrupts.timer.cs, 0x61)
        Check.equal("interrupt/frame-says-enabled", Interrupts.timer.eflags & 0x200, 0x200)
        Check.equal("interrupt/handler-runs-disabled", Interrupts.timer.irqEnabled, 0)
        Check.equal("interrupt/enabled-again-afterwards", SharedPage.irqEnabled & 0x200, 0x200)
    }

    private static func blocked() {
        let before = count
        Interrupts.block(Interrupts.timerLine)
        arm(milliseconds: 1)
        Check.that("interrupt/blocked-waits", !came(within: 20_000, after: before))
        Interrupts.unblock(Interrupts.timerLine)
        Check.that("interrupt/unblocked-by-a-plain-store", comes(after: before))
        Check.equal("interrupt/came-once", count &- before, 1)
    }

    private static func disabled() {
        var before = count
        Interrupts.disable()
        arm(milliseconds: 1)
        let early = came(within: 20_000, after: before)
        // Nothing was asked of the hypervisor meanwhile, so leave it a moment to notice.
        let noted = Timer.spin(microseconds: Timer.patience) { SharedPage.irqPending != 0 }
        let note = SharedPage.irqPending
        Check.that("interrupt/disabled-waits", !early && count == before)
        Check.equal("interrupt/pending-is-noted", note, 0x200)
        Check.that("interrupt/pending-noted-in-time", noted)
        // This is what Interrupts.enable does, but step by step.
        SharedPage.irqEnabled = SharedPage.interruptFlag
        Hypercall.sendInterrupts()
        Check.equal("interrupt/send-interrupts-delivers-at-once", count &- before, 1)
        Check.equal("interrupt/note-is-cleared", SharedPage.irqPending, 0)

        before = count
        Interrupts.disable()
        arm(milliseconds: 1)
        Timer.settle(microseconds: 5_000)
        SharedPage.irqEnabled = SharedPage.interruptFlag
        Check.that("interrupt/enabled-by-a-plain-store", comes(after: before))

        // Other bits of the word mean nothing, and any hypercall is a chance to look.
        before = count
        SharedPage.irqEnabled = 0x46
        arm(milliseconds: 1)
        Timer.settle(microseconds: 10_000)
        Check.equal("interrupt/only-bit-9-enables", count, before)
        SharedPage.irqEnabled = 0x246
        Check.that("interrupt/bit-9-among-others", comes(after: before))
        SharedPage.irqEnabled = SharedPage.interruptFlag
    }

    private static func halting() {
        // On a busy host an interrupt may come before the halt that it shall end, so another one follows.
        Timer.period = 5_000_000
        var before = count
        arm(milliseconds: 5)
        Hypervisor.halt()
        Check.that("halt/wakes-up", count != before)
        stopClock()

        before = count
        Interrupts.disable()
        arm(milliseconds: 5)
        Hypervisor.halt()
        let flag = SharedPage.irqEnabled
        Check.equal("halt/wakes-up-with-interrupts-disabled", count &- before, 1)
        Check.equal("halt/frame-says-enabled", Interrupts.timer.eflags & 0x200, 0x200)
        Check.equal("halt/enables-interrupts", flag & 0x200, 0x200)
        Interrupts.enable()

        before = count
        Interrupts.disable()
        arm(milliseconds: 1)
        Timer.settle(microseconds: 10_000)
        Hypervisor.halt()
        Check.equal("halt/returns-at-once-if-pending", count &- before, 1)
        Interrupts.enable()

        Timer.period = 5_000_000
        before = count
        arm(milliseconds: 5)
        while count == before { instruction_hlt() }
        Check.that("halt/hlt-instruction-is-halt", count != before)
        stopClock()
    }

    private static func stopClock() {
        Timer.period = 0
        Hypervisor.setClockEvent(nanoseconds: 0)
    }

    /// An interrupt for which there is no gate stays pending.
    private static func withoutGate() {
        let before = count
        IDT.clear(Interrupts.firstVector)
        arm(milliseconds: 1)
        Check.that("interrupt/without-gate-waits", !came(within: 10_000, after: before))
        IDT.setDefault(Interrupts.firstVector)
        Check.that("interrupt/gate-back", comes(after: before))
    }

    /// The clock and the console at the same time: the lower line goes first, and the other one follows.
    private static func ordering() {
        guard Console.useDriver, let queue = VirtioConsole.transmit else { return }
        Console.flush()
        let clock = count
        let console = Interrupts.console.count
        Interrupts.disable()
        queue.wantInterrupts(true)
        arm(milliseconds: 1)
        Check.pass("interrupt/console-printed-while-disabled")
        Console.flush()
        Timer.settle(microseconds: 50_000)
        queue.wantInterrupts(false)
        let early = count != clock || Interrupts.console.count != console
        Interrupts.enable()
        let both = Timer.spin(microseconds: Timer.patience) {
            count != clock && Interrupts.console.count != console
        }
        Check.that("interrupt/both-wait", !early)
        Check.that("interrupt/both-come", both)
        Check.equal("interrupt/lower-line-first", Interrupts.order & 0xFF, 0x01)
    }

    /// Interrupts as fast as they come while ring 1 takes traps and returns from them: every arrival between
    /// the two instructions that end a trap must go well, or stack and flags get out of step.
    private static func storm() {
        let before = count
        Interrupts.deepest = 0
        var wrong: UInt32 = 0
        Timer.period = 50_000
        arm(milliseconds: 1)
        let start = Timer.now
        let (end, limit) = (Timer.ticks(microseconds: 200_000), Timer.ticks(microseconds: Timer.patience))
        var rounds: UInt32 = 0
        Traps.mode = .resume
        while Timer.now &- start < (count &- before < 20 ? limit : end) {
            for _ in 0..<50 {
                instruction_breakpoint()
                if SharedPage.irqEnabled & 0x200 == 0 { wrong += 1 }
                rounds += 1
            }
        }
        Traps.mode = .fatal
        stopClock()
        let arrivals = count &- before
        Check.that(
            "interrupt/storm-arrives", arrivals >= 20,
            "\(arrivals) in \(Timer.microseconds(Timer.now &- start) / 1000) ms")
        Check.equal("interrupt/storm-keeps-flag", wrong, 0)
        Check.equal("interrupt/storm-never-nests", Interrupts.deepest, 1)
        Check.equal("interrupt/none-right-before-iret", Interrupts.inForbiddenPlace, 0)
        Check.equal("interrupt/none-unexpected", Interrupts.unexpected, 0)
    }
}

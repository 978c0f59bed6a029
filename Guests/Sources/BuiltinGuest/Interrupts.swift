// SPDX-License-Identifier: Apache-2.0
//
// Interrupts without an interrupt controller. The processor's own interrupt flag means nothing in ring 1, so
// a word of the shared page takes its place: enabling and disabling is one store to memory, with no trap.
// Masking a line is a store too. Interrupt n arrives at vector 32 + n, there is no acknowledge, and a line
// that is raised while we look away simply stays pending.
import Machine

enum Interrupts {
    static let firstVector: UInt32 = 32
    static let lines: UInt32 = 16
    static let timerLine: UInt32 = 0
    static let consoleLine: UInt32 = 1

    // MARK: the virtual interrupt flag

    /// Disables interrupts and says what the flag was.
    @discardableResult
    static func disable() -> UInt32 {
        let before = SharedPage.irqEnabled & SharedPage.interruptFlag
        SharedPage.irqEnabled = 0
        instruction_barrier()
        return before
    }

    /// Enables interrupts. The hypervisor leaves a note in `irq_pending` when one had to wait; then we tell
    /// it that the way is free, so that it does not have to watch the flag.
    static func enable() {
        instruction_barrier()
        SharedPage.irqEnabled = SharedPage.interruptFlag
        instruction_barrier()
        if SharedPage.irqPending != 0 { Hypercall.sendInterrupts() }
    }

    static func restore(_ flag: UInt32) {
        if flag != 0 { enable() }
    }

    static var enabled: Bool { SharedPage.irqEnabled & SharedPage.interruptFlag != 0 }

    // MARK: lines

    static func block(_ line: UInt32) { SharedPage.blockedInterrupts |= 1 << line }
    static func unblock(_ line: UInt32) { SharedPage.blockedInterrupts &= ~(1 << line) }

    // MARK: what arrived

    /// What is known of the latest interrupt on a line.
    struct Arrival {
        var count: UInt32 = 0
        var eip: UInt32 = 0
        var cs: UInt32 = 0
        var eflags: UInt32 = 0
        var irqEnabled: UInt32 = 0
        var tsc: UInt64 = 0
        var seconds: UInt32 = 0
        var nanoseconds: UInt32 = 0
    }

    nonisolated(unsafe) static var timer = Arrival()
    nonisolated(unsafe) static var console = Arrival()
    nonisolated(unsafe) static var unexpected: UInt32 = 0
    /// Arrivals between the two instructions that end a trap, where the ABI forbids them.
    nonisolated(unsafe) static var inForbiddenPlace: UInt32 = 0

    /// The lines of the latest interrupts, four bits each, the newest lowest.
    nonisolated(unsafe) static var order: UInt32 = 0

    /// How deep handlers are nested, now and at most. Interrupt gates keep it at one.
    nonisolated(unsafe) static var depth: UInt32 = 0
    nonisolated(unsafe) static var deepest: UInt32 = 0

    static func arrived(_ line: UInt32, _ frame: TrapFrame) {
        depth += 1
        deepest = max(deepest, depth)
        order = order << 4 | line
        if frame.eip == noirq_iret_address() { inForbiddenPlace &+= 1 }
        switch line {
        case timerLine:
            note(&timer, frame)
            Timer.fired()
        case consoleLine:
            note(&console, frame)
            VirtioConsole.interrupt()
        default:
            if !DeviceInterrupts.arrived(line) { unexpected &+= 1 }
        }
        depth -= 1
    }

    private static func note(_ arrival: inout Arrival, _ frame: TrapFrame) {
        let time = SharedPage.time
        arrival.count &+= 1
        arrival.eip = frame.eip
        arrival.cs = frame.cs
        arrival.eflags = frame.eflags
        arrival.irqEnabled = SharedPage.irqEnabled
        arrival.tsc = instruction_rdtsc()
        arrival.seconds = time.seconds
        arrival.nanoseconds = time.nanoseconds
    }
}

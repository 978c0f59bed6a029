// SPDX-License-Identifier: Apache-2.0
//
// Virtual interrupts. The guest's interrupt flag is a word in the shared page, its interrupt controller
// a bitmap beside it: both are plain memory for the guest, so we look there whenever we get control
// (docs: lguest ABI 5.5). There is no acknowledge and no end-of-interrupt.

import Devices
import X86

/// The interrupts that wait.
public final class LguestInterruptLines: InterruptLines {
    /// Bit n: IRQ n waits.
    @exclusivity(unchecked) var pending: UInt32 = 0
    /// Whom to tell at once. Takes itself back when it goes.
    // SAFETY: by that contract.
    @exclusivity(unchecked) unowned(unsafe) var interface: LguestInterface?

    public func raise(irq: Int) {
        let bit = 1 << UInt32(irq & 31) as UInt32
        pending |= bit
        interface?.interruptRaised(bit)
    }

    public func lower(irq: Int) {
        // The original has edges only: what is pending stays pending.
    }
}

extension LguestInterface: InterruptLines {
    static let irqBase: UInt8 = 32

    var pendingInterrupts: UInt32 {
        get { lines.pending }
        set { lines.pending = newValue }
    }

    func interruptRaised(_ bit: UInt32) {
        guard let data, data.blockedInterrupts & bit == 0 else { return }
        // A guest that has interrupts disabled is told where it looks when it enables them, and asks for them
        // then: usually still in the function that has started the request. A guest that has them enabled gets
        // this one before its next block.
        if let pending = data.layout.irqPending, !data.interruptsEnabled {
            data.set(pending, 0x200)
        } else {
            cpu?.attention |= Attention.interrupt
        }
    }

    public func raise(irq: Int) { lines.raise(irq: irq) }
    public func lower(irq: Int) { lines.lower(irq: irq) }

    public var hasWaitingInterrupts: Bool { pendingInterrupts != 0 }

    public func deliverInterrupts(_ cpu: CPU, now: UInt64) throws(GuestDeath) -> Bool {
        if let due = clockEvent, now >= due {
            clockEvent = nil
            pendingInterrupts |= 1
        }
        if let startFailure { throw startFailure }
        guard let data else { return !isHalted }
        // The original wrote the wall clock at interrupts only. Until the guest trusts its TSC (two seconds
        // after the start) this is its only clock, so it gets it as fresh as we can.
        writeTime(data)
        guard pendingInterrupts != 0 else { return !isHalted }
        let candidates = pendingInterrupts & ~data.blockedInterrupts
        guard candidates != 0 else { return !isHalted }
        if isInWindow(cpu, data) { return !isHalted }
        if isHalted {
            data.interruptsEnabled = true
            isHalted = false
        } else if !data.interruptsEnabled {
            data.set(data.layout.irqPending, 0x200)
            return true
        }
        let irq = UInt8(candidates.trailingZeroBitCount)
        if gate(LguestInterface.irqBase + irq) != nil {
            pendingInterrupts &= ~(1 << UInt32(irq))
            tally.interrupts += 1
            try reflect(LguestInterface.irqBase + irq, errorCode: nil, cpu)
        }
        if pendingInterrupts & ~data.blockedInterrupts == 0 { data.set(data.layout.irqPending, 0) }
        return true
    }

    /// Where no interrupt may be injected: between the guest's "restore interrupt flag" and its `iret`,
    /// which the guest cannot make one step. In the later generations only the `iret` itself is left;
    /// letting it run first is simpler than building a frame around it.
    private func isInWindow(_ cpu: CPU, _ data: LguestData) -> Bool {
        guard cpu.cpl != 3 else { return false }
        if let iret = data.layout.noirqIret { return cpu.eip == data.word(iret) }
        guard let start = data.layout.noirqStart, let end = data.layout.noirqEnd else { return false }
        return cpu.eip >= data.word(start) && cpu.eip < data.word(end)
    }

    /// The wall clock in the shared page.
    func writeTime(_ data: LguestData) {
        guard let time = data.layout.time else { return }
        let now = services.clock.realtime()
        data.set(time, UInt32(truncatingIfNeeded: now.seconds))
        data.set(time + 4, now.nanoseconds)
    }

    /// SET_CLOCKEVENT: one shot, `nanoseconds` from now; 0 cancels.
    func setClockEvent(_ nanoseconds: UInt32) {
        clockEvent = nanoseconds == 0 ? nil : services.clock.monotonicNanoseconds() &+ UInt64(nanoseconds)
    }
}

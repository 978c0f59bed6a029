// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a device: the handler only notes which line it was, and whoever waits sleeps with HALT until what
// it waits for is there.
import Machine

enum DeviceInterrupts {
    /// Lines that drivers of this folder use.
    nonisolated(unsafe) static var lines: UInt32 = 0
    nonisolated(unsafe) static var count: UInt32 = 0

    static func use(_ ring: Ring) {
        lines |= 1 << ring.line
        Interrupts.unblock(ring.line)
    }

    /// Called by the interrupt handler; false when the line is nobody's.
    static func arrived(_ line: UInt32) -> Bool {
        guard lines & 1 << line != 0 else { return false }
        count &+= 1
        return true
    }

    /// Sleeps until `happened`, at most so long. Says whether it has.
    @discardableResult
    static func wait(microseconds: UInt64, until happened: () -> Bool) -> Bool {
        let end = Timer.now &+ Timer.ticks(microseconds: microseconds)
        while true {
            // Looking and falling asleep with interrupts disabled: HALT enables them, so none is lost between.
            Interrupts.disable()
            let now = Timer.now
            if happened() || now >= end { break }
            let left = min(Timer.nanoseconds(end &- now), 1_000_000_000)
            Hypervisor.setClockEvent(nanoseconds: UInt32(truncatingIfNeeded: max(left, 1000)))
            Hypervisor.halt()
        }
        Hypervisor.setClockEvent(nanoseconds: 0)
        Interrupts.enable()
        return happened()
    }
}

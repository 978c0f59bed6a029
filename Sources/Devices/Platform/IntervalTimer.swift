// SPDX-License-Identifier: Apache-2.0
//
// The 8254 interval timer: three counters at 1.193182 MHz. Counter 0 is the timer interrupt, counter 2 the
// loudspeaker, whose gate and output are in port 0x61; old kernels measure the processor with it. Nothing ticks
// here: counters are worked out from the clock when somebody looks.

import Support

/// The 8254 with its ports 0x40–0x43 and 0x61.
public final class IntervalTimer {
    /// Ticks in a second: the colour carrier of NTSC times four, divided by twelve.
    public static let frequency: UInt64 = 1_193_182

    private let clock: any HostClock
    private let start: UInt64
    private var counters: [Counter]
    /// Bits 0 and 1 of port 0x61: the gate of counter 2, and the loudspeaker.
    private var speaker: UInt8 = 0
    private var refresh = false
    /// Sets the wire of interrupt 0.
    public var setOutput: (Bool) -> Void = { _ in }
    /// Told when `nextEvent` may have changed.
    public var settingsChanged: () -> Void = {}

    public init(clock: any HostClock) {
        self.clock = clock
        start = clock.monotonicNanoseconds()
        // Counter 0 stands as firmware leaves it, with its output high, so that setting it up makes no interrupt; but
        // it does not run, which would only wake a guest that has no use for it.
        counters = (0..<3).map { Counter(gate: $0 != 2, mode: $0 == 0 ? 2 : 0) }
    }

    public func claimPorts(on ports: PortBus) {
        ports.claim(ports: 0x40...0x43, handler: Ports(self, first: 0x40))
        ports.claim(ports: 0x61...0x61, handler: Ports(self, first: 0x61))
    }

    private static func ticks(_ nanoseconds: UInt64) -> UInt64 {
        let (high, low) = nanoseconds.multipliedFullWidth(by: frequency)
        return (1_000_000_000 as UInt64).dividingFullWidth((high, low)).quotient
    }

    private var now: UInt64 { Self.ticks(clock.monotonicNanoseconds() &- start) }

    /// When counter 0 next makes an interrupt, in nanoseconds of the monotonic clock; nil when it does not.
    public var nextEvent: UInt64? {
        guard let due = counters[0].nextEdge else { return nil }
        let (high, low) = due.multipliedFullWidth(by: 1_000_000_000)
        guard high < Self.frequency else { return nil }
        return start &+ Self.frequency.dividingFullWidth((high, low)).quotient &+ 1
    }

    /// Makes the interrupts that are due; several missed ones count as one.
    public func advance(to nanoseconds: UInt64) {
        guard nanoseconds >= start, counters[0].passEdge(Self.ticks(nanoseconds - start)) else { return }
        setOutput(false)
        setOutput(true)
    }

    fileprivate func read(_ port: UInt16) -> UInt8 {
        switch port {
        case 0x40...0x42: return counters[Int(port - 0x40)].read(now)
        case 0x61:
            // Bit 4 follows the memory refresh, which some delay loops count.
            refresh.toggle()
            return speaker | (refresh ? 0x10 : 0) | (counters[2].output(now) ? 0x20 : 0)
        default: return 0xFF
        }
    }

    fileprivate func write(_ port: UInt16, _ value: UInt8) {
        defer { settingsChanged() }
        switch port {
        case 0x40...0x42:
            counters[Int(port - 0x40)].write(value, now)
            if port == 0x40 { setOutput(counters[0].output(now)) }
        case 0x43: control(value)
        default:
            speaker = value & 3
            counters[2].setGate(value & 1 != 0, now)
        }
    }

    private func control(_ value: UInt8) {
        let now = now
        guard value >> 6 == 3 else {
            let index = Int(value >> 6)
            if value & 0x30 == 0 {
                counters[index].latchCount(now)
            } else {
                counters[index].setMode(value)
                if index == 0 { setOutput(counters[0].output(now)) }
            }
            return
        }
        // Read-back: bits 5 and 4 clear ask for count and status of the counters in bits 1–3.
        for index in 0..<3 where value & 2 << UInt8(index) != 0 {
            if value & 0x20 == 0 { counters[index].latchCount(now) }
            if value & 0x10 == 0 { counters[index].latchStatus(now) }
        }
    }

    private final class Ports: BytePortHandler {
        private unowned let timer: IntervalTimer
        private let first: UInt16

        init(_ timer: IntervalTimer, first: UInt16) {
            self.timer = timer
            self.first = first
        }

        func readByte(_ offset: UInt16) -> UInt8 { timer.read(first + offset) }
        func writeByte(_ offset: UInt16, _ value: UInt8) { timer.write(first + offset, value) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The guest's time-stamp counter: nanoseconds of the monotonic clock since the machine started. Between two looks at
// that clock it goes on with the host processor's counter, at the rate that both have shown, so that generated
// code can read it by itself. It never goes back, and never jumps unless the clock has.

import CHost
import Support
import X86

struct GuestTimestamp {
    /// Shortest time between two adjustments, and the time over which a difference is made up, in nanoseconds.
    private static let interval: UInt64 = 10_000_000
    /// Differences beyond this are not made up but taken at once.
    private static let jump: UInt64 = 1_000_000

    /// When the counter was 0, in nanoseconds of the monotonic clock.
    let start: UInt64
    private let usesTicks: Bool
    private let firstTicks: UInt64
    private var base: UInt64 = 0
    private var rate: UInt64 = 0
    private var guest: UInt64 = 0
    private var lastUpdate: UInt64

    init(clock: any HostClock) {
        firstTicks = clock.isHostTime ? lguest_host_ticks() : 0
        start = clock.monotonicNanoseconds()
        usesTicks = firstTicks != 0
        lastUpdate = start
    }

    /// The counter now.
    func value(_ clock: any HostClock) -> UInt64 {
        rate == 0 ? clock.monotonicNanoseconds() &- start : value(ticks: lguest_host_ticks())
    }

    private func value(ticks: UInt64) -> UInt64 {
        let product = (ticks &- base).multipliedFullWidth(by: rate)
        return guest &+ (product.high << 32 | product.low >> 32)
    }

    /// Adjusts the rate at times; `now` is the monotonic clock's time.
    mutating func update(now: UInt64, _ cpu: CPU) {
        guard usesTicks, now &- lastUpdate >= GuestTimestamp.interval else { return }
        let ticks = lguest_host_ticks()
        let elapsed = ticks &- firstTicks
        guard elapsed > 0, now > start else { return }
        // Nanoseconds a tick since the start, with 32 bits of fraction.
        let measured = elapsed.dividingFullWidth(((now &- start) >> 32, (now &- start) << 32)).quotient
        let wanted = now &- start
        guest = rate == 0 ? wanted : value(ticks: ticks)
        base = ticks
        let difference = Int64(bitPattern: wanted &- guest)
        if difference.magnitude > GuestTimestamp.jump {
            if difference > 0 { guest = wanted }
            rate = measured
        } else {
            let correction = Double(difference) / Double(GuestTimestamp.interval)
            rate = UInt64(Double(measured) * max(0.5, 1 + correction))
        }
        lastUpdate = now
        cpu.system.translator.timestampBase = base
        cpu.system.translator.timestampGuest = guest
        cpu.system.translator.timestampRate = rate
    }
}

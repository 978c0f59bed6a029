// SPDX-License-Identifier: Apache-2.0
//
// Clocks: the one-shot event, its cancellation and replacement, and whether `rdtsc` and the time in the
// shared page tell the same story. Being late is allowed: the machine may be busy. Being early is not.

enum ClockChecks {
    static func run() {
        single()
        cancelling()
        replacing()
        sleeping()
        agreement()
    }

    private static var count: UInt32 { Interrupts.timer.count }

    private static func single() {
        delay("clock/one-millisecond", microseconds: 1_000)
        delay("clock/twenty-milliseconds", microseconds: 20_000)
        let before = count
        Hypervisor.setClockEvent(nanoseconds: 100)
        let soon = Timer.spin(microseconds: Timer.patience) { count != before }
        Check.that("clock/shortest-event", soon)
        Timer.settle(microseconds: 20_000)
        Check.equal("clock/not-periodic", count &- before, 1)
    }

    private static func delay(_ name: StaticString, microseconds: UInt32) {
        let before = count
        let start = Timer.now
        Hypervisor.setClockEvent(nanoseconds: microseconds * 1000)
        Timer.spin(microseconds: Timer.patience) { count != before }
        let took = Timer.microseconds(Interrupts.timer.tsc &- start)
        // A thousandth of slack, for the rounding of the counter's frequency.
        let earliest = UInt64(microseconds) - UInt64(microseconds) / 1000 - 1
        Check.that(name, count != before && took >= earliest, "took \(took) us")
    }

    private static func cancelling() {
        let before = count
        Hypervisor.setClockEvent(nanoseconds: 5_000_000)
        Hypervisor.setClockEvent(nanoseconds: 0)
        Timer.settle(microseconds: 30_000)
        Check.equal("clock/cancelled", count, before)
    }

    private static func replacing() {
        let before = count
        let start = Timer.now
        Hypervisor.setClockEvent(nanoseconds: 4_000_000_000)
        Hypervisor.setClockEvent(nanoseconds: 2_000_000)
        Timer.spin(microseconds: 3_900_000) { count != before }
        let took = Timer.microseconds(Timer.now - start)
        Check.that("clock/replaced", count &- before == 1 && took < 4_000_000, "took \(took) us")
        Hypervisor.setClockEvent(nanoseconds: 0)
    }

    private static func sleeping() {
        let start = Timer.now
        Timer.sleep(microseconds: 50_000)
        let took = Timer.microseconds(Timer.now - start)
        Check.that("clock/sleep-takes-real-time", took >= 49_900, "took \(took) us")
    }

    /// Over 300 ms the two clocks may differ by an eighth, which is what Linux tolerates before it gives up
    /// on one. A host may leave us standing between our looks at the one and at the other, so that is tried again.
    private static func agreement() {
        var (wall, counter, attempts): (UInt64, UInt64, UInt32) = (0, 0, 0)
        var agrees: Bool {
            let difference = wall > counter ? wall - counter : counter - wall
            return wall > 0 && difference < counter / 8
        }
        repeat {
            let start = tick()
            Timer.sleep(microseconds: 300_000)
            guard let first = start, let second = tick() else {
                Check.that("clock/time-advances", false, "no interrupt came")
                return
            }
            wall = second.nanoseconds &- first.nanoseconds
            counter = Timer.nanoseconds(second.tsc &- first.tsc)
            attempts += 1
        } while !agrees && attempts < 20
        Check.that("clock/time-advances", wall > 0 && wall < Timer.patience * 1000, "by \(wall) ns")
        Check.that(
            "clock/counter-agrees-with-time", agrees, "time \(wall) ns, counter \(counter) ns")
        Check.that("clock/nanoseconds-in-range", SharedPage.time.nanoseconds < 1_000_000_000)
    }

    /// One clock interrupt, and what the two clocks said in its handler.
    private static func tick() -> (nanoseconds: UInt64, tsc: UInt64)? {
        let before = count
        Hypervisor.setClockEvent(nanoseconds: 1_000_000)
        guard Timer.spin(microseconds: Timer.patience, until: { count != before }) else { return nil }
        let arrival = Interrupts.timer
        return (UInt64(arrival.seconds) * 1_000_000_000 + UInt64(arrival.nanoseconds), arrival.tsc)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The one seam through which host time enters. Everything that asks what time it is takes a
// `HostClock`, so that a test (and later a replay) can say what time it is instead.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where host time comes from.
public protocol HostClock: AnyObject {
    /// Nanoseconds since an arbitrary start; never goes back, not changed by setting the date.
    func monotonicNanoseconds() -> UInt64
    /// Time since 1970-01-01 00:00 UTC; `nanoseconds` is below 1,000,000,000.
    func realtime() -> (seconds: Int64, nanoseconds: UInt32)
    /// Whether this is the host's own time, so that the host processor's counter may stand in for it in between.
    var isHostTime: Bool { get }
}

extension HostClock {
    public var isHostTime: Bool { false }
}

/// The host's own clocks, through `clock_gettime(2)` (which the vDSO answers without a system call).
public final class SystemClock: HostClock, Sendable {
    public init() {}

    public var isHostTime: Bool { true }

    public func monotonicNanoseconds() -> UInt64 {
        let now = Self.read(CLOCK_MONOTONIC)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }

    public func realtime() -> (seconds: Int64, nanoseconds: UInt32) {
        let now = Self.read(CLOCK_REALTIME)
        return (Int64(now.tv_sec), UInt32(now.tv_nsec))
    }

    /// Neither clock can fail on Linux; a host without them would read as zero.
    private static func read(_ clock: clockid_t) -> timespec {
        var now = timespec()
        clock_gettime(clock, &now)
        return now
    }
}

/// A clock that stands still until it is told to move: for tests.
public final class ManualClock: HostClock {
    private var monotonic: UInt64
    private var epochSeconds: Int64
    private var epochNanoseconds: UInt32

    /// Starts at `monotonicNanoseconds`, with `realtimeSeconds` since 1970 as the date.
    public init(monotonicNanoseconds: UInt64 = 0, realtimeSeconds: Int64 = 0) {
        monotonic = monotonicNanoseconds
        epochSeconds = realtimeSeconds
        epochNanoseconds = 0
    }

    /// Moves both times forward.
    public func advance(nanoseconds: UInt64) {
        monotonic &+= nanoseconds
        let fraction = UInt64(epochNanoseconds) + nanoseconds % 1_000_000_000
        epochSeconds += Int64(nanoseconds / 1_000_000_000) + Int64(fraction / 1_000_000_000)
        epochNanoseconds = UInt32(fraction % 1_000_000_000)
    }

    public func monotonicNanoseconds() -> UInt64 { monotonic }

    public func realtime() -> (seconds: Int64, nanoseconds: UInt32) { (epochSeconds, epochNanoseconds) }
}

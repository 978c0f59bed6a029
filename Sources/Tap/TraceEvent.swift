// SPDX-License-Identifier: Apache-2.0
//
// One event as it is recorded: 64 bytes without references, so that recording one is a few stores.
// What its numbers mean is in the `EventKind` that `kind` stands for.

/// Something that happened at an edge of guest code.
public struct TraceEvent: BitwiseCopyable, Sendable, Equatable {
    /// Nanoseconds of the monotonic clock since tracing began.
    public var time: UInt64 = 0
    /// Guest instructions retired before it.
    public var instructions: UInt64 = 0
    /// How long the hypervisor had to do with it, in nanoseconds; `unknownDuration` where the end was
    /// not seen, 0 for what takes no time of its own.
    public var duration: UInt32 = 0
    /// Index into `TraceTap.kinds`.
    public var kind: UInt16 = 0
    /// Privilege level of the guest, or `hostRing`.
    public var ring: UInt8 = 0
    public var flags: TraceFlags = []
    /// Where the guest is: the instruction that caused the event, or the next one.
    public var eip: UInt32 = 0
    /// The guest's top-level page table (CR3).
    public var cr3: UInt32 = 0
    /// Guest-virtual address of what the kernel keeps about the running task; 0 where that is not known.
    public var task: UInt32 = 0
    /// Return addresses found on the guest kernel's stack, innermost first; 0 for none.
    public var callers = SIMD2<UInt32>()
    public var arguments = SIMD4<UInt32>()

    public init() {}

    /// `ring` of what the host's side brought about while no guest code ran.
    public static let hostRing: UInt8 = 255
    public static let unknownDuration = UInt32.max
}

public struct TraceFlags: OptionSet, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A request that had waited in a queue: place and task are those of the moment when it was carried out.
    public static let queued = TraceFlags(rawValue: 1)
    /// Has an end of its own, so that `duration` counts.
    public static let timed = TraceFlags(rawValue: 2)
}

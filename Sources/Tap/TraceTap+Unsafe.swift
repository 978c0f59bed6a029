// SPDX-License-Identifier: Apache-2.0
//
// The tap: where events are recorded. Off, it is one word of zero bits that each edge of guest code tests.
// On, an event is a few stores into a buffer, which sinks read whenever there is time.

import Support

/// Where a tap finds the processor's state. All of it stays where it is as long as the tap lives.
public struct TraceContext {
    public let eip: UnsafePointer<UInt32>
    public let ring: UnsafePointer<UInt8>
    public let cr3: UnsafePointer<UInt32>
    public let instructions: UnsafePointer<UInt64>
    /// Always the same as the tap's own word of wanted categories: what belongs to the processor tests this one.
    public let wanted: UnsafeMutablePointer<UInt32>

    public init(
        eip: UnsafePointer<UInt32>, ring: UnsafePointer<UInt8>, cr3: UnsafePointer<UInt32>,
        instructions: UnsafePointer<UInt64>, wanted: UnsafeMutablePointer<UInt32>
    ) {
        self.wanted = wanted
        self.eip = eip
        self.ring = ring
        self.cr3 = cr3
        self.instructions = instructions
    }
}

/// Whether anybody wants to see something, without a reference to the tap. Keep the tap as long.
@frozen
public struct TraceSwitch {
    @usableFromInline let word: UnsafeMutablePointer<UInt32>

    @inlinable @inline(__always)
    public func wants(_ any: TraceCategory) -> Bool {
        // SAFETY: the tap's own word, which lives as long as the tap.
        word.pointee & any.rawValue != 0
    }
}

/// The recorder of one machine. Belongs to the thread of the virtual CPU.
public final class TraceTap {
    /// Names an event whose end is still to come.
    public struct Mark: Sendable {
        @usableFromInline let sequence: UInt64
        /// Of an event that nobody wants.
        public static let none = Mark(sequence: .max)
    }

    /// Events that fit before a sink must take them.
    static let capacity = 1 << 14

    /// The word of wanted categories (bits of `TraceCategory`), at this address for the tap's life. Written through
    /// `categories` only.
    public let mask: UnsafeMutablePointer<UInt32>
    /// By number; the first are those of `CommonKind`.
    public private(set) var kinds: [EventKind]
    /// What arguments of the format `name` stand for.
    public private(set) var names: [String] = ["?"]
    private var nameNumbers: [String: UInt32] = [:]
    /// Beginnings of the names of guest functions that only pass requests on to the hypervisor: a trace names
    /// their callers instead.
    public var stubs: [String] = []
    public var clock: (any HostClock)?
    public weak var observer: (any TraceObserver)?
    /// Set while the hypervisor works for the host's side and no guest code is the cause.
    public var isHostSide = false

    private var context: TraceContext?
    private var sinks: [any TraceSink] = []
    private var kindMasks: [UInt32]
    private var events: UnsafeMutablePointer<TraceEvent>?
    private var count = 0
    /// Events that sinks have taken.
    private var taken: UInt64 = 0
    private var start: UInt64 = 0
    private var hasStarted = false

    /// A tap that is off.
    public init() {
        mask = .allocate(capacity: 1)
        mask.initialize(to: 0)
        kinds = CommonKind.allCases.map(\.description)
        kindMasks = kinds.map(\.categories.rawValue)
    }

    deinit {
        // SAFETY: both were allocated here, and nobody keeps their addresses beyond the tap's life.
        mask.deallocate()
        events?.deallocate()
    }

    // MARK: Looking

    /// Whether an event of one of these categories would be recorded: one load and one test.
    @inlinable @inline(__always)
    public func wants(_ any: TraceCategory) -> Bool {
        // SAFETY: allocated by `init`, freed by `deinit`.
        mask.pointee & any.rawValue != 0
    }

    /// What is wanted. Nothing is recorded while no sink is attached.
    public var categories: TraceCategory {
        get { TraceCategory(rawValue: mask.pointee) }
        set {
            mask.pointee = sinks.isEmpty ? 0 : newValue.rawValue
            context?.wanted.pointee = mask.pointee
        }
    }

    public var traceSwitch: TraceSwitch { TraceSwitch(word: mask) }

    /// Events recorded so far.
    public var recorded: UInt64 { taken + UInt64(count) }

    // MARK: Setting up

    public func connect(_ context: TraceContext) {
        self.context = context
        context.wanted.pointee = mask.pointee
    }

    /// The processor's state goes away.
    public func disconnect() { context = nil }

    /// Adds kinds of events; their numbers count from the result.
    public func define(_ added: [EventKind]) -> Int {
        let first = kinds.count
        kinds += added
        kindMasks += added.map(\.categories.rawValue)
        return first
    }

    /// The number by which arguments of the format `name` mean `name`.
    public func name(_ name: String) -> UInt32 {
        if let known = nameNumbers[name] { return known }
        let number = UInt32(names.count)
        names.append(name)
        nameNumbers[name] = number
        return number
    }

    /// Lets `sink` have all events from now on. The first sink starts the trace's clock: now, or at an earlier
    /// moment of the host's monotonic clock.
    public func attach(_ sink: any TraceSink, startingAt earlier: UInt64? = nil) {
        sinks.append(sink)
        if events == nil { events = .allocate(capacity: Self.capacity) }
        if !hasStarted {
            start = earlier ?? clock?.monotonicNanoseconds() ?? 0
            hasStarted = true
        }
    }

    // MARK: Recording

    /// Records the beginning of an event if its kind is wanted. `end` must follow.
    public func begin(
        _ kind: Int, _ a0: UInt32 = 0, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0,
        queued: Bool = false
    ) -> Mark {
        guard kind < kindMasks.count, kindMasks[kind] & mask.pointee != 0, let events else { return .none }
        // The events that are still open lose their ends: rare, and better than a gap.
        if count == Self.capacity { drain() }
        // SAFETY: `count` is below the capacity; the storage is trivial and owned here.
        let event = events + count
        event.initialize(to: TraceEvent())
        event.pointee.kind = UInt16(truncatingIfNeeded: kind)
        event.pointee.flags = queued ? [.queued, .timed] : .timed
        event.pointee.duration = TraceEvent.unknownDuration
        event.pointee.arguments = SIMD4(a0, a1, a2, a3)
        if let context {
            event.pointee.eip = context.eip.pointee
            event.pointee.ring = context.ring.pointee
            event.pointee.cr3 = context.cr3.pointee
            event.pointee.instructions = context.instructions.pointee
        }
        if isHostSide {
            event.pointee.ring = TraceEvent.hostRing
        } else if let observer {
            event.pointee.task = observer.currentTask()
            event.pointee.callers = observer.callers()
        }
        event.pointee.time = now()
        count += 1
        return Mark(sequence: taken + UInt64(count - 1))
    }

    /// The end of what `begin` recorded.
    public func end(_ mark: Mark) {
        finish(mark) { _ in }
    }

    /// The end of what `begin` recorded, with a result in argument `index` (0…3).
    public func end(_ mark: Mark, _ index: Int, _ value: UInt32) {
        finish(mark) { $0.arguments[index & 3] = value }
    }

    /// Takes back what `begin` recorded, if nothing has come after it.
    public func cancel(_ mark: Mark) {
        if count > 0, mark.sequence == taken + UInt64(count - 1) { count -= 1 }
    }

    /// Records something that takes no time of its own.
    public func note(
        _ kind: Int, _ a0: UInt32 = 0, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0
    ) {
        finish(begin(kind, a0, a1, a2, a3)) {
            $0.duration = 0
            $0.flags.remove(.timed)
        }
    }

    @inline(__always)
    private func finish(_ mark: Mark, _ change: (inout TraceEvent) -> Void) {
        guard mark.sequence >= taken, mark.sequence != .max, let events else { return }
        let index = Int(mark.sequence - taken)
        guard index < count else { return }
        // SAFETY: below `count`, so it was initialised by `begin`.
        let event = events + index
        event.pointee.duration = UInt32(clamping: min(now() &- event.pointee.time, UInt64(UInt32.max - 1)))
        change(&event.pointee)
    }

    private func now() -> UInt64 { (clock?.monotonicNanoseconds() ?? 0) &- start }

    /// Nanoseconds since tracing began, 0 before.
    public var elapsed: UInt64 { hasStarted ? now() : 0 }

    /// Hands what was recorded to the sinks.
    public func drain() {
        guard count > 0, let events else { return }
        // SAFETY: the first `count` events are initialised.
        let recorded = UnsafeBufferPointer(start: events, count: count)
        for sink in sinks { sink.write(recorded, of: self) }
        taken += UInt64(count)
        count = 0
    }

    /// Hands over the rest, lets the sinks go and turns tracing off.
    public func stop() {
        drain()
        sinks = []
        categories = []
    }
}

extension TraceTap {
    public func begin(
        _ kind: CommonKind, _ a0: UInt32 = 0, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0
    ) -> Mark {
        begin(kind.rawValue, a0, a1, a2, a3)
    }

    public func note(
        _ kind: CommonKind, _ a0: UInt32 = 0, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0
    ) {
        note(kind.rawValue, a0, a1, a2, a3)
    }
}

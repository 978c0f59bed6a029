// SPDX-License-Identifier: Apache-2.0
//
// Breakpoints and watchpoints of a debugger outside the guest: any number, and nowhere in the guest's sight. Guest
// memory stays as it is; instead, a page with a breakpoint has no entry in the execute table, and one with a
// watchpoint none in the read or write table. So every access to these pages, and only to these, takes the slow
// path, which looks here. With no points set, the slow path is what it was, and the fast one never knows.

/// Which accesses a watchpoint is about.
public struct WatchKind: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let reads = WatchKind(rawValue: 1)
    public static let writes = WatchKind(rawValue: 2)
}

/// A watched range of linear addresses, `length` bytes from `address`.
public struct Watchpoint: Equatable, Sendable {
    public var address: UInt32
    /// Bytes, at least 1.
    public var length: UInt32
    public var kind: WatchKind

    public init(address: UInt32, length: UInt32, kind: WatchKind) {
        self.address = address
        self.length = max(1, length)
        self.kind = kind
    }

    func overlaps(_ linear: UInt32, _ width: UInt32) -> Bool {
        linear &- address < length || address &- linear < width
    }
}

/// What a debugger's points have met.
public enum DebugHit: Equatable, Sendable {
    /// The instruction at this linear address is about to run.
    case breakpoint(UInt32)
    /// An instruction accesses a watched range.
    case watchpoint(Watchpoint)
}

/// The points of one processor. An engine that meets one leaves with `Fault.debuggerStop`, EIP at the
/// instruction and nothing of it done.
public final class DebugPoints {
    /// What is done about a point that is met.
    public enum Mode: UInt8, Sendable {
        /// Nothing: the guest's interface looks at memory, too.
        case off
        /// Stop before the instruction: while an engine runs.
        case armed
        /// Go on, but remember watchpoints: while a single instruction is carried out.
        case noting
    }

    public private(set) var breakpoints: Set<UInt32> = []
    public private(set) var watchpoints: [Watchpoint] = []
    /// Pages (linear address >> 12) with breakpoints.
    private var breakpointPages: Set<UInt32> = []
    public var mode = Mode.off
    /// The last that was met; whoever deals with it sets it to nil.
    public var hit: DebugHit?

    public init() {}

    public var isEmpty: Bool { breakpoints.isEmpty && watchpoints.isEmpty }

    func insert(_ address: UInt32) {
        breakpoints.insert(address)
        breakpointPages.insert(address >> 12)
    }

    func remove(_ address: UInt32) {
        breakpoints.remove(address)
        breakpointPages = Set(breakpoints.map { $0 >> 12 })
    }

    func insert(_ watchpoint: Watchpoint) {
        if !watchpoints.contains(watchpoint) { watchpoints.append(watchpoint) }
    }

    func remove(_ watchpoint: Watchpoint) {
        watchpoints.removeAll { $0 == watchpoint }
    }

    func removeAll() {
        breakpoints = []
        breakpointPages = []
        watchpoints = []
        hit = nil
    }

    /// Whether code of this page must not be found by the fast way.
    func guardsCode(page: UInt32) -> Bool { breakpointPages.contains(page) }

    /// Which accesses to this page must not take the fast way.
    func guardedAccesses(page: UInt32) -> WatchKind {
        var kind: WatchKind = []
        for watchpoint in watchpoints where watchpoint.overlaps(page << 12, 4096) {
            kind.formUnion(watchpoint.kind)
        }
        return kind
    }

    /// Whether to stop before the instruction at `linear`.
    func stops(at linear: UInt32) -> Bool { mode == .armed && breakpoints.contains(linear) }

    /// Throws `.debuggerStop` when an access meets a watchpoint, or takes a note of it.
    func checkAccess(_ linear: UInt32, _ width: Int, _ kind: WatchKind) throws(Fault) {
        guard mode != .off else { return }
        for watchpoint in watchpoints
        where !watchpoint.kind.isDisjoint(with: kind) && watchpoint.overlaps(linear, UInt32(width)) {
            hit = .watchpoint(watchpoint)
            if mode == .armed { throw .debuggerStop }
        }
    }
}

extension Fault {
    /// Not an exception of the architecture: a debugger's breakpoint or watchpoint has been met.
    public static let debuggerStop = Fault(vector: 254)
}

extension CPU {
    /// The points of a debugger outside the guest.
    public var debugPoints: DebugPoints { owner.debugPoints }

    /// Stops before the instruction at this linear address from now on. The engine's code must be flushed
    /// afterwards (`Engine.flushCode`), as for all of these.
    public func insertBreakpoint(_ address: UInt32) {
        debugPoints.insert(address)
        pointsHaveChanged()
    }

    public func removeBreakpoint(_ address: UInt32) {
        debugPoints.remove(address)
        pointsHaveChanged()
    }

    public func insertWatchpoint(_ watchpoint: Watchpoint) {
        debugPoints.insert(watchpoint)
        pointsHaveChanged()
    }

    public func removeWatchpoint(_ watchpoint: Watchpoint) {
        debugPoints.remove(watchpoint)
        pointsHaveChanged()
    }

    public func removeAllDebugPoints() {
        debugPoints.removeAll()
        pointsHaveChanged()
    }

    private func pointsHaveChanged() {
        system.hasDebugPoints = !debugPoints.isEmpty
        owner.tables.flushAll()
    }

    /// For slow paths of engines: throws `.debuggerStop` when the access meets a watchpoint.
    public func checkWatchpoints(_ linear: UInt32, _ width: Int, write: Bool) throws(Fault) {
        if system.hasDebugPoints { try noteWatched(linear, width, write) }
    }

    /// Throws `.debuggerStop` when the instruction at `linear` has a breakpoint. The fault of a page that is not there
    /// comes first, so that at the stop there are instructions to look at, and one stop for each execution.
    @inline(never)
    func checkBreakpoint(_ linear: UInt32) throws(Fault) {
        guard debugPoints.stops(at: linear) else { return }
        _ = try page(linear, .execute, user: cpl == 3)
        debugPoints.hit = .breakpoint(linear)
        throw .debuggerStop
    }

    @inline(never)
    private func noteWatched(_ linear: UInt32, _ width: Int, _ write: Bool) throws(Fault) {
        try debugPoints.checkAccess(linear, width, write ? .writes : .reads)
    }
}

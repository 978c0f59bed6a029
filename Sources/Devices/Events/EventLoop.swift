// SPDX-License-Identifier: Apache-2.0
//
// What the host has to tell while a guest runs: a key was typed, a time has come, another thread is done.
// The machine looks here between two slices of guest instructions, and sleeps here while the guest halts.

import Support
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Wakes an `EventLoop` from another thread. It may outlive the loop.
public final class EventWaker: Sendable {
    let descriptor: Int32
    private let raised = Atomic(false)

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { HostIO.close(descriptor) }

    /// Whether somebody has called `wake` and the loop has not looked yet. Costs no system call, so a busy
    /// machine can ask between any two slices of guest code.
    public var isRaised: Bool { raised.load(ordering: .relaxed) }

    /// Makes a `wait` return now, or the next one at once. Any thread may call it; what it did before is
    /// seen by the handlers that the loop calls.
    public func wake() {
        // One signal is enough for all who come before the loop looks.
        if !raised.exchange(true, ordering: .acquiringAndReleasing) { HostIO.signal(descriptor) }
    }

    /// The loop has seen it. The counter first: a `wake` from now on signals again.
    func lower() {
        HostIO.drain(descriptor)
        _ = raised.exchange(false, ordering: .acquiringAndReleasing)
    }
}

/// Waits for file descriptors and timers, and calls who asked for them. All of it on one thread, except
/// `waker.wake()`.
public final class EventLoop {
    /// Names one registered descriptor.
    public struct Source: Hashable, Sendable {
        fileprivate let id: Int
    }

    /// Names one timer.
    public struct Timer: Hashable, Sendable {
        fileprivate let id: Int
    }

    private struct Registration {
        let descriptor: Int32
        var isEnabled: Bool
        let handler: () -> Void
    }

    /// For other threads.
    public let waker: EventWaker
    private let clock: any HostClock
    private var sources: [Int: Registration] = [:]
    private var wakeHandlers: [Int: () -> Void] = [:]
    private var timers: [Int: (due: UInt64, handler: () -> Void)] = [:]
    private var nextID = 1
    /// The list for the kernel, and whose entry each is (0: the waker's); made anew when `listIsStale`.
    private var list: [pollfd] = []
    private var listIDs: [Int] = []
    private var listIsStale = true

    /// Fails when the host gives no more file descriptors.
    public init(clock: any HostClock) throws(LguestError) {
        let descriptor = HostIO.makeEventDescriptor()
        guard descriptor >= 0 else {
            throw LguestError(.host, "cannot make an event descriptor: \(HostIO.message(-descriptor))")
        }
        waker = EventWaker(descriptor: descriptor)
        self.clock = clock
    }

    /// Calls `handler` whenever `descriptor` has input, has hung up or is in error, until it is
    /// unregistered. The handler must read, or unregister: it is called again as long as the condition
    /// lasts.
    public func register(descriptor: Int32, handler: @escaping () -> Void) -> Source {
        let id = makeID()
        sources[id] = Registration(descriptor: descriptor, isEnabled: true, handler: handler)
        listIsStale = true
        return Source(id: id)
    }

    /// Calls `handler` after each `waker.wake()` (or several in one), until it is unregistered.
    public func registerWake(handler: @escaping () -> Void) -> Source {
        let id = makeID()
        wakeHandlers[id] = handler
        return Source(id: id)
    }

    /// Stops or restarts looking at a source.
    public func setEnabled(_ source: Source, _ isEnabled: Bool) {
        guard let old = sources[source.id], old.isEnabled != isEnabled else { return }
        sources[source.id]?.isEnabled = isEnabled
        listIsStale = true
    }

    /// Forgets a source. The descriptor stays open.
    public func unregister(_ source: Source) {
        if sources.removeValue(forKey: source.id) != nil { listIsStale = true }
        wakeHandlers.removeValue(forKey: source.id)
    }

    /// Calls `handler` once, `nanoseconds` from now, from inside `poll` or `wait`.
    @discardableResult
    public func schedule(afterNanoseconds nanoseconds: UInt64, _ handler: @escaping () -> Void) -> Timer {
        let id = makeID()
        let (due, overflow) = clock.monotonicNanoseconds().addingReportingOverflow(nanoseconds)
        timers[id] = (overflow ? .max : due, handler)
        return Timer(id: id)
    }

    public func cancel(_ timer: Timer) { timers.removeValue(forKey: timer.id) }

    /// Handles what is ready now, without waiting: one system call. True when there was something.
    @discardableResult
    public func poll() -> Bool { turn(nanoseconds: 0) }

    /// Waits until something is ready and handles it, at most `timeoutNanoseconds` (nil: without end).
    /// Returns also on a signal and on `waker.wake()`. True when something was handled or somebody woke it.
    @discardableResult
    public func wait(timeoutNanoseconds: UInt64?) -> Bool {
        var limit = timeoutNanoseconds
        if let due = timers.values.map(\.due).min() {
            let now = clock.monotonicNanoseconds()
            limit = min(limit ?? .max, due > now ? due - now : 0)
        }
        return turn(nanoseconds: limit)
    }

    private func turn(nanoseconds: UInt64?) -> Bool {
        if listIsStale { rebuildList() }
        var handled = HostIO.wait(&list, nanoseconds: nanoseconds) > 0 && dispatch()
        if !timers.isEmpty, runTimers() { handled = true }
        return handled
    }

    private func rebuildList() {
        listIsStale = false
        list = [pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)]
        listIDs = [0]
        for (id, source) in sources.sorted(by: { $0.key < $1.key }) where source.isEnabled {
            list.append(pollfd(fd: source.descriptor, events: Int16(POLLIN), revents: 0))
            listIDs.append(id)
        }
    }

    /// Handlers may register and unregister as they like, so what is ready is written down first.
    private func dispatch() -> Bool {
        let ready = zip(listIDs, list).filter { $0.1.revents != 0 }
        for (id, entry) in ready {
            if id == 0 {
                waker.lower()
                for key in wakeHandlers.keys.sorted() { wakeHandlers[key]?() }
            } else if HostIO.result(entry).invalid {
                // Somebody closed it: it would report for ever.
                unregister(Source(id: id))
            } else if let source = sources[id], source.isEnabled {
                source.handler()
            }
        }
        return !ready.isEmpty
    }

    private func runTimers() -> Bool {
        let now = clock.monotonicNanoseconds()
        let due = timers.filter { $0.value.due <= now }.sorted {
            ($0.value.due, $0.key) < ($1.value.due, $1.key)
        }
        for (id, timer) in due where timers.removeValue(forKey: id) != nil {
            timer.handler()
        }
        return !due.isEmpty
    }

    private func makeID() -> Int {
        defer { nextID += 1 }
        return nextID
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A lock with a condition to wait for: what worker threads and those who feed them meet at. Swift's own
// `Mutex` has no condition.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A POSIX mutex with one condition variable. Any thread may use it.
final class Monitor: @unchecked Sendable {
    // SAFETY (of `@unchecked Sendable`): the pointers never change, and the objects behind them are made
    // to be used from several threads.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        // SAFETY: both point to memory of their type that nobody else knows yet; `init` makes it valid.
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        // SAFETY: the last reference is gone, so nobody holds the lock or waits.
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` while no other thread is inside. Not to be nested.
    func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Inside `locked`: lets others in until `wakeAll`; may also return without cause.
    func wait() { pthread_cond_wait(condition, mutex) }

    /// Ends one wait, if there is one.
    func wakeOne() { pthread_cond_signal(condition) }

    /// Ends all waits.
    func wakeAll() { pthread_cond_broadcast(condition) }

    /// Starts a thread that runs `body`, with all signals left to the others but SIGSYS, which the kernel sends to
    /// the thread whose system call a sandbox refuses. Nil when the host has none.
    static func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var all = sigset_t()
        var old = sigset_t()
        var thread = pthread_t()
        // SAFETY: the sets are local. The box is retained for the new thread, which releases it; when there
        // is no new thread, it is released here.
        sigfillset(&all)
        sigdelset(&all, SIGSYS)
        pthread_sigmask(SIG_SETMASK, &all, &old)
        let box = Unmanaged.passRetained(Box(body))
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, box.toOpaque())
        pthread_sigmask(SIG_SETMASK, &old, nil)
        guard result == 0 else {
            box.release()
            return nil
        }
        return thread
    }
}

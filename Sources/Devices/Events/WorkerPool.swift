// SPDX-License-Identifier: Apache-2.0
//
// A few threads for work that may block, such as a read from a slow disk, so that the virtual CPU need not
// wait for it. They are made when there is work for them.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Runs jobs on up to `limit` threads, started in the order in which they came. Belongs to one thread; the
/// jobs run on others.
final class WorkerPool {
    /// What the threads share, all of it behind the monitor.
    private final class Shared: @unchecked Sendable {
        // SAFETY (of `@unchecked Sendable`): the variables are used only inside `monitor.locked`.
        let monitor = Monitor()
        var jobs: [@Sendable () -> Void] = []
        var nextJob = 0
        var idle = 0
        var unfinished = 0
        var isEnding = false
        /// Whether the owner waits for the end of all jobs.
        var isDraining = false

        func takeJob() -> (@Sendable () -> Void)? {
            monitor.locked {
                idle += 1
                while nextJob == jobs.count, !isEnding { monitor.wait() }
                idle -= 1
                guard nextJob < jobs.count else { return nil }
                let job = jobs[nextJob]
                // What the job holds on to shall go with it.
                jobs[nextJob] = {}
                nextJob += 1
                if nextJob == jobs.count || nextJob == 256 {
                    jobs.removeFirst(nextJob)
                    nextJob = 0
                }
                return job
            }
        }

        func jobIsDone() {
            monitor.locked {
                unfinished -= 1
                if unfinished == 0, isDraining { monitor.wakeAll() }
            }
        }
    }

    private let shared = Shared()
    private let limit: Int
    private var threads: [pthread_t] = []

    init(limit: Int) { self.limit = max(1, limit) }

    deinit { end() }

    /// Runs `job` soon. When the host gives not even one thread, it is run here and now.
    func submit(_ job: @escaping @Sendable () -> Void) {
        let shared = shared
        let needsThread = shared.monitor.locked {
            shared.jobs.append(job)
            shared.unfinished += 1
            // Nobody but idle threads can be waiting: the owner, who might, is here.
            shared.monitor.wakeOne()
            return shared.jobs.count - shared.nextJob > shared.idle
        }
        if needsThread, threads.count < limit {
            if let thread = Monitor.startThread({ Self.work(shared) }) { threads.append(thread) }
        }
        if threads.isEmpty, let job = shared.takeJob() {
            job()
            shared.jobIsDone()
        }
    }

    /// Waits until everything submitted is done.
    func drain() {
        shared.monitor.locked {
            shared.isDraining = true
            while shared.unfinished > 0 { shared.monitor.wait() }
            shared.isDraining = false
        }
    }

    /// Drains and ends the threads.
    func end() {
        drain()
        shared.monitor.locked {
            shared.isEnding = true
            shared.monitor.wakeAll()
        }
        for thread in threads { pthread_join(thread, nil) }
        threads = []
        shared.monitor.locked { shared.isEnding = false }
    }

    private static func work(_ shared: Shared) {
        while let job = shared.takeJob() {
            job()
            shared.jobIsDone()
        }
    }
}

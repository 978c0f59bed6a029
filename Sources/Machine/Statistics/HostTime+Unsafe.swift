// SPDX-License-Identifier: Apache-2.0
//
// Where the CPU time of the thread goes that runs a guest: in all by the host's clocks; in generated code, slow paths
// and devices by samples (see `CHost/profile.h`), which cost nothing where they are not taken.

import CHost
import Engine
import Support
import X86

/// CPU time of one run of a machine. Belongs to the thread that runs it.
final class HostTime {
    /// CPU time between two samples, in nanoseconds. The host looks at its own ticks only, so it may be longer.
    private static let interval: UInt64 = 1_000_000

    /// What the signal handler writes to; lives as long as the machine.
    private let profile: UnsafeMutablePointer<lguest_profile>
    private var threadStart: UInt64
    private var processStart: UInt64
    /// Whether samples are taken.
    private(set) var isSampling = false

    init() {
        profile = .allocate(capacity: 1)
        profile.initialize(to: lguest_profile())
        threadStart = lguest_thread_cpu_time()
        processStart = lguest_process_cpu_time()
    }

    deinit {
        // SAFETY: allocated in `init`; `end` has taken it from the signal handler.
        profile.deallocate()
    }

    /// Lets this thread be sampled from now on, whatever it runs. Throws what the host says to that.
    static func startSampling() throws(LguestError) {
        let reason = lguest_profile_start(interval)
        if reason != 0 {
            throw LguestError(.host, "the host gives no timer for the thread's CPU time (errno \(reason))")
        }
    }

    /// The run begins. `samples`: with samples, for which `startSampling` has been called.
    func begin(_ cpu: CPU, _ engine: any Engine, samples: Bool) {
        threadStart = lguest_thread_cpu_time()
        processStart = lguest_process_cpu_time()
        guard samples, let activity = cpu.activityAddress else { return }
        isSampling = true
        if let translator = engine as? Translator {
            profile.pointee.code = translator.codeRange.start
            profile.pointee.code_bytes = translator.codeRange.byteCount
        }
        profile.pointee.activity = activity
        // SAFETY: the profile and the CPU's state live until `end`.
        lguest_profile_use(profile)
    }

    /// The run is over: no more samples.
    func end() { lguest_profile_use(nil) }

    /// CPU time of the thread since the run began.
    var threadNanoseconds: UInt64 { lguest_thread_cpu_time() &- threadStart }

    var readings: [CounterReading] {
        let thread = threadNanoseconds
        let process = lguest_process_cpu_time() &- processStart
        var list = [
            CounterReading(.cpuTime, thread),
            CounterReading(.cpuThreads, process > thread ? process - thread : 0),
        ]
        guard isSampling else { return list }
        let all = profile.pointee
        let samples = withUnsafeBytes(of: all.samples) { Array($0.bindMemory(to: UInt64.self)) }
        let total = samples.reduce(all.samples_in_code, +)
        guard total > 0 else { return list }
        func share(_ counter: Counter, _ samples: UInt64) {
            list.append(CounterReading(counter, UInt64(Double(thread) * Double(samples) / Double(total))))
        }
        share(.cpuCode, all.samples_in_code)
        share(.cpuEngine, samples[Int(Activity.engine)])
        share(.cpuInterface, samples[Int(Activity.interface)])
        share(.cpuDevices, samples[Int(Activity.devices)])
        return list
    }
}

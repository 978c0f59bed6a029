// SPDX-License-Identifier: Apache-2.0

/// Takes recorded events: a writer, a report in the making.
public protocol TraceSink: AnyObject {
    /// Events in the order in which they began. The buffer is reused after the call.
    func write(_ events: UnsafeBufferPointer<TraceEvent>, of tap: TraceTap)
}

/// Knows of the guest what the processor's registers do not say. Asked for each event while tracing is on,
/// so it must be quick, and must not change anything of the guest's.
public protocol TraceObserver: AnyObject {
    /// Guest-virtual address of the running task's record, or 0.
    func currentTask() -> UInt32
    /// Where the guest is in a function that only passes requests on (`TraceTap.stubs`): the two innermost return
    /// addresses on its stack, 0 for none.
    func callers() -> SIMD2<UInt32>
}

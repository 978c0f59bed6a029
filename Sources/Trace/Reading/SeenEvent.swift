// SPDX-License-Identifier: Apache-2.0

import Tap

/// An event with its names, as a report works with it: from a running guest or from a file.
struct SeenEvent {
    var time: UInt64 = 0
    /// Nil for what takes no time of its own, or whose end was not seen.
    var duration: UInt64?
    /// Index into the kinds of the trace.
    var kind = 0
    var ring: UInt8 = 0
    var isQueued = false
    var place = ""
    var task = ""
    var cr3: UInt32 = 0
    var arguments = SIMD4<UInt32>()
    /// The arguments that are addresses in the guest's kernel, with their symbols.
    var symbols: [(address: UInt32, symbol: String)] = []

    var end: UInt64 { time + (duration ?? 0) }
}

/// Takes a trace piece by piece.
protocol SeenTrace: AnyObject {
    func begin(_ header: TraceHeader, kinds: [EventKind])
    /// `names` are what arguments of the format `name` stand for.
    func event(_ event: SeenEvent, names: [String])
    func record(_ record: TraceRecord)
}

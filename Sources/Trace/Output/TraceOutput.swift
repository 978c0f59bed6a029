// SPDX-License-Identifier: Apache-2.0
//
// A place that a trace goes to, and the writer that feeds all of them with what the filter lets through.

import Support
import Tap

/// One form of a trace: lines, JSON, a report.
public protocol TraceOutput: AnyObject {
    /// Before the first event. `tap` knows all kinds by now.
    /// Comes again when a machine was started anew: `tap` and `names` are other ones then.
    func begin(_ header: TraceHeader, _ tap: TraceTap, _ names: GuestNames)
    func event(_ event: TraceEvent)
    /// Something that is known of a moment, or at the end, and has a shape of its own.
    func record(_ record: TraceRecord)
    /// Events up to here should reach their reader now.
    func flush()
    func end()
}

/// What was run.
public struct TraceHeader: Sendable {
    public var kernel: String
    public var version: String
    public var memoryBytes: UInt64
    public var engine: String

    public init(kernel: String, version: String, memoryBytes: UInt64, engine: String) {
        self.kernel = kernel
        self.version = version
        self.memoryBytes = memoryBytes
        self.engine = engine
    }
}

/// A piece of a trace that is no event.
public struct TraceRecord: Sendable {
    public enum Kind: String, Sendable {
        /// A guest's page tables at one moment.
        case pageTables
        /// Which memory was used how much.
        case heat
        /// What `--stats` counts.
        case statistics
    }

    public var kind: Kind
    public var value: JSON

    public init(_ kind: Kind, _ value: JSON) {
        self.kind = kind
        self.value = value
    }
}

/// The sink behind `--trace`.
public final class TraceWriter: TraceSink {
    private let header: TraceHeader
    private let filter: TraceFilter
    private let outputs: [any TraceOutput]
    private let names: GuestNames
    private var hasBegun = false

    public init(_ header: TraceHeader, filter: TraceFilter, outputs: [any TraceOutput], names: GuestNames) {
        self.header = header
        self.filter = filter
        self.outputs = outputs
        self.names = names
    }

    /// Tells the outputs what is to come, at the latest with the first event.
    private func begin(_ tap: TraceTap) {
        guard !hasBegun else { return }
        hasBegun = true
        for output in outputs { output.begin(header, tap, names) }
    }

    public func write(_ events: UnsafeBufferPointer<TraceEvent>, of tap: TraceTap) {
        begin(tap)
        names.forgetTasks()
        let takesAll = filter.isEmpty
        for event in events where takesAll || filter.matches(event, tap, names) {
            for output in outputs { output.event(event) }
        }
        for output in outputs { output.flush() }
    }

    public func record(_ record: TraceRecord, of tap: TraceTap) {
        begin(tap)
        for output in outputs { output.record(record) }
    }

    /// After a machine's last event; another machine may follow.
    public func finish(_ tap: TraceTap) {
        begin(tap)
        for output in outputs { output.flush() }
    }
}

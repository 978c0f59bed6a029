// SPDX-License-Identifier: Apache-2.0
//
// What a report counts, event by event: nothing of it grows with the length of a run, apart from what is bounded.

import Support
import Tap

public final class RunReport: SeenTrace {
    /// Title and paragraph for an event's topic.
    public typealias Explain = (String) -> (title: String, text: String)?

    private(set) var header = TraceHeader(kernel: "", version: "", memoryBytes: 0, engine: "")
    private(set) var kinds: [EventKind] = []
    private(set) var costs = CostTable()
    private(set) var callers = CallerTable()
    private(set) var timeline = TimeShares()
    private(set) var journeys = Journeys()
    private(set) var pageTables: [JSON] = []
    private(set) var heat = JSON.null
    private(set) var statistics = JSON.null
    private(set) var names: [String] = []

    public init() {}

    /// A report on the trace in the file at `path`. Throws `.badInput` for what is no trace.
    public static func read(_ path: String) throws(LguestError) -> RunReport {
        let report = RunReport()
        try TraceFile(path: path).read(into: report)
        return report
    }

    func begin(_ header: TraceHeader, kinds: [EventKind]) {
        self.header = header
        self.kinds = kinds
    }

    func event(_ event: SeenEvent, names: [String]) {
        guard kinds.indices.contains(event.kind) else { return }
        if self.names.count != names.count { self.names = names }
        let kind = kinds[event.kind]
        let role = EventRole(kind)
        costs.add(event, kind)
        if kind.categories.contains(.hypercall) { callers.add(event) }
        timeline.add(event, role, kind.categories)
        journeys.add(event, role, kind, names)
    }

    func record(_ record: TraceRecord) {
        switch record.kind {
        case .pageTables: if pageTables.count < 64 { pageTables.append(record.value) }
        case .heat: heat = record.value
        case .statistics: statistics = record.value
        }
    }
}

/// What an event is to a report, whatever interface or file it is from.
enum EventRole {
    case toUser, idle, poll, systemCall, pageFault, trap, interrupt, kick, take, give, raise, other

    init(_ kind: EventKind) {
        self = Self.roles[kind.name] ?? .other
    }

    private static let roles: [String: EventRole] = {
        let known: [(CommonKind, EventRole)] = [
            (.enterUser, .toUser), (.halted, .idle), (.hostPoll, .poll), (.systemCall, .systemCall),
            (.pageFault, .pageFault), (.trap, .trap), (.interrupt, .interrupt), (.queueKick, .kick),
            (.bufferTaken, .take), (.bufferReturned, .give), (.interruptRaised, .raise),
        ]
        return Dictionary(uniqueKeysWithValues: known.map { ($0.0.description.name, $0.1) })
    }()
}

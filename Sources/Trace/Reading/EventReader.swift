// SPDX-License-Identifier: Apache-2.0
//
// From a trace's JSON back to events. The header says what the kinds are.

import Tap

struct EventReader {
    let header: TraceHeader
    let kinds: [EventKind]
    private(set) var names: [String] = ["?"]
    private let byName: [String: Int]
    private static let kindLimit = 1000
    private static let nameLimit = 10_000

    init(_ value: JSON) {
        header = TraceHeader(
            kernel: value["kernel"]?.string ?? "", version: value["linux"]?.string ?? "",
            memoryBytes: value["memory"]?.word ?? 0, engine: value["engine"]?.string ?? "")
        kinds = (value["kinds"]?.list ?? []).prefix(Self.kindLimit).map(Self.kind)
        byName = Dictionary(kinds.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static func kind(_ value: JSON) -> EventKind {
        let categories = (value["categories"]?.list ?? []).compactMap(\.string).joined(separator: ",")
        let arguments = (value["arguments"]?.list ?? []).prefix(4).map {
            EventArgument(
                $0["name"]?.string ?? "?", ArgumentFormat(rawValue: $0["format"]?.string ?? "") ?? .hex)
        }
        return EventKind(
            value["name"]?.string ?? "?",
            categories.isEmpty ? [] : TraceCategory.parse(categories).categories, Array(arguments),
            topic: value["topic"]?.string)
    }

    /// An event of JSON lines; nil when it is none.
    mutating func event(_ value: JSON) -> SeenEvent? {
        guard let name = value["event"]?.string, let kind = byName[name], let time = value["time"]?.word
        else { return nil }
        var event = SeenEvent()
        event.kind = kind
        event.time = time
        event.duration = value["duration"]?.word
        details(value, &event)
        return event
    }

    /// An event of the Trace Event Format, whose times are in microseconds.
    mutating func timelineEvent(_ value: JSON) -> SeenEvent? {
        guard let name = value["name"]?.string, let kind = byName[name], let time = value["ts"]?.number,
            let details = value["args"], let nanoseconds = Self.nanoseconds(time)
        else { return nil }
        var event = SeenEvent()
        event.kind = kind
        event.time = nanoseconds
        event.duration = value["dur"]?.number.flatMap(Self.nanoseconds)
        self.details(details, &event)
        return event
    }

    private static func nanoseconds(_ microseconds: Double) -> UInt64? {
        UInt64(exactly: (microseconds * 1000).rounded())
    }

    private mutating func details(_ value: JSON, _ event: inout SeenEvent) {
        event.ring = value["ring"]?.word.flatMap { UInt8(exactly: $0) } ?? TraceEvent.hostRing
        event.place = value["place"]?.string ?? ""
        event.task = value["task"]?.string ?? ""
        event.cr3 = UInt32(truncatingIfNeeded: value["cr3"]?.word ?? 0)
        event.isQueued = value["queued"] == .bool(true)
        guard let arguments = value["arguments"] else { return }
        for (index, argument) in kinds[event.kind].arguments.enumerated() {
            switch arguments[argument.name] {
            case .string(let text): event.arguments[index & 3] = number(of: text)
            case .some(let value): event.arguments[index & 3] = UInt32(truncatingIfNeeded: value.word ?? 0)
            case nil: break
            }
            if let symbol = value["symbols"]?[argument.name]?.string {
                event.symbols.append((event.arguments[index & 3], symbol))
            }
        }
    }

    private mutating func number(of name: String) -> UInt32 {
        if let known = names.firstIndex(of: name) { return UInt32(known) }
        guard names.count < Self.nameLimit else { return 0 }
        names.append(name)
        return UInt32(names.count - 1)
    }
}

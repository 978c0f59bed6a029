// SPDX-License-Identifier: Apache-2.0
//
// The page itself: `report.html` with the run's numbers in it as JSON. What it shows and how is in that file.

import Tap

extension RunReport {
    /// Where the data goes in the page.
    private static let mark = Array("/*RUN*/null/*RUN*/".utf8)

    /// The whole page, in UTF-8.
    public func page(explain: Explain) -> [UInt8] {
        let template = PackageResources.report_html
        guard let at = template.firstRange(of: Self.mark) else { return template }
        // A `<` could end the script in which the data stands.
        let data = Array(json(explain).text.utf8).flatMap {
            $0 == UInt8(ascii: "<") ? Array("\\u003c".utf8) : [$0]
        }
        return Array(template[..<at.lowerBound]) + data + Array(template[at.upperBound...])
    }

    /// All that the page shows.
    func json(_ explain: Explain) -> JSON {
        .object([
            (
                "run",
                .object([
                    ("kernel", .string(header.kernel)), ("linux", .string(header.version)),
                    ("memory", .integer(header.memoryBytes)), ("engine", .string(header.engine)),
                ])
            ),
            ("timeline", timeline.json), ("costs", costs.json(kinds)), ("callers", callers.json(kinds)),
            ("journeys", .list(Journeys.Topic.allCases.map(journeys))), ("pageTables", .list(pageTables)),
            ("heat", heat), ("statistics", statistics), ("topics", topics(explain)),
        ])
    }

    private func journeys(_ topic: Journeys.Topic) -> JSON {
        let found = journeys.best[topic] ?? []
        return .object([
            ("title", .string(topic.title)), ("kind", .string("\(topic)")),
            (
                "journeys",
                .list(
                    found.map {
                        .object([("name", .string($0.name)), ("steps", .list($0.steps.map(step)))])
                    })
            ),
        ])
    }

    private func step(_ event: SeenEvent) -> JSON {
        let kind = kinds[event.kind]
        var text = TextBuffer()
        ArgumentText.put(
            event.arguments, kind, names,
            place: { address in
                event.symbols.first { $0.address == address }.map { Array($0.symbol.utf8) }
            }, into: &text)
        return .object([
            ("time", .integer(event.time)), ("ns", event.duration.map { JSON.integer($0) } ?? .null),
            ("event", .string(kind.name)), ("topic", .string(kind.topic)), ("ring", .integer(event.ring)),
            ("place", .string(event.place)), ("task", .string(event.task)), ("queued", .bool(event.isQueued)),
            ("text", .string(String(decoding: text.bytes.drop { $0 == 0x20 }, as: UTF8.self))),
        ])
    }

    /// Explanations of what occurs in the page.
    private func topics(_ explain: Explain) -> JSON {
        var members: [(String, JSON)] = []
        for topic in Set(kinds.map(\.topic)).sorted() {
            guard let found = explain(topic) else { continue }
            members.append(
                (topic, .object([("title", .string(found.title)), ("text", .string(found.text))])))
        }
        return .object(members)
    }
}

extension [UInt8] {
    /// The first place where `pattern` stands.
    fileprivate func firstRange(of pattern: [UInt8]) -> Range<Int>? {
        guard !pattern.isEmpty, count >= pattern.count else { return nil }
        return (0...count - pattern.count).first { self[$0...].starts(with: pattern) }
            .map { $0..<$0 + pattern.count }
    }
}

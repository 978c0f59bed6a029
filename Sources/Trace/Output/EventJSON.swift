// SPDX-License-Identifier: Apache-2.0
//
// What both JSON forms of a trace have in common: the members that describe an event, and the header that
// describes the kinds of events, so that a program needs to know nothing else.

import Support
import Tap

struct EventJSON {
    let tap: TraceTap
    let names: GuestNames
    /// Beginnings of the members, made once for each kind.
    private let kinds: [Prepared]

    private struct Prepared {
        let name: [UInt8]
        let categories: [UInt8]
        /// `"pgdir":`, by argument.
        let arguments: [[UInt8]]
        /// Which of them are addresses in the guest, for which symbols are shown.
        let addresses: [Int]
    }

    init(_ tap: TraceTap, _ names: GuestNames) {
        self.tap = tap
        self.names = names
        kinds = tap.kinds.map { kind in
            Prepared(
                name: Self.quoted(kind.name),
                categories: Self.quoted(kind.categories.memberNames.joined(separator: ",")),
                arguments: kind.arguments.map { Self.quoted($0.name) + [UInt8(ascii: ":")] },
                addresses: kind.arguments.indices.filter { kind.arguments[$0].format == .address })
        }
    }

    static func quoted(_ text: String) -> [UInt8] {
        var buffer = TextBuffer()
        buffer.put(jsonString: text)
        return buffer.bytes
    }

    func name(_ event: TraceEvent) -> [UInt8] {
        Int(event.kind) < kinds.count ? kinds[Int(event.kind)].name : Self.quoted("?")
    }

    func categories(_ event: TraceEvent) -> [UInt8] {
        Int(event.kind) < kinds.count ? kinds[Int(event.kind)].categories : Self.quoted("")
    }

    /// `"ring":1,"eip":…,"place":…,…,"arguments":{…}`
    func putDetails(_ event: TraceEvent, into out: inout TextBuffer) {
        let origin = names.origin(of: event, tap)
        out.put("\"ring\":")
        if event.ring == TraceEvent.hostRing {
            out.put("null")
        } else {
            out.put(decimal: UInt64(event.ring))
            out.put(",\"eip\":")
            out.put(decimal: UInt64(event.eip))
            out.put(",\"cr3\":")
            out.put(decimal: UInt64(event.cr3))
            out.put(",\"place\":")
            out.put(jsonString: origin.text)
        }
        let task = names.task(event.task)
        if !task.isEmpty {
            out.put(",\"task\":")
            out.put(jsonString: task)
        }
        out.put(",\"instructions\":")
        out.put(decimal: event.instructions)
        if event.flags.contains(.queued) { out.put(",\"queued\":true") }
        out.put(",\"arguments\":{")
        putArguments(event, into: &out)
        out.put("}")
        putSymbols(event, into: &out)
    }

    /// `,"symbols":{"handler":"page_fault"}`, where there are any.
    private func putSymbols(_ event: TraceEvent, into out: inout TextBuffer) {
        guard Int(event.kind) < kinds.count else { return }
        let kind = kinds[Int(event.kind)]
        var isOpen = false
        for index in kind.addresses {
            let place = names.place(event.arguments[index & 3], tap)
            guard place.symbol != nil else { continue }
            out.put(isOpen ? "," : ",\"symbols\":{")
            out.put(kind.arguments[index])
            out.put(jsonString: place.text)
            isOpen = true
        }
        if isOpen { out.put("}") }
    }

    private func putArguments(_ event: TraceEvent, into out: inout TextBuffer) {
        guard Int(event.kind) < kinds.count else { return }
        let kind = tap.kinds[Int(event.kind)]
        for index in kind.arguments.indices {
            if index > 0 { out.put(",") }
            out.put(kinds[Int(event.kind)].arguments[index])
            let value = event.arguments[index & 3]
            if kind.arguments[index].format == .name, tap.names.indices.contains(Int(value)) {
                out.put(jsonString: tap.names[Int(value)])
            } else {
                out.put(decimal: UInt64(value))
            }
        }
    }

    /// What was run, and what the events mean.
    static func header(_ header: TraceHeader, _ tap: TraceTap) -> JSON {
        let kinds = tap.kinds.map { kind in
            JSON.object([
                ("name", .string(kind.name)), ("topic", .string(kind.topic)),
                ("categories", .list(kind.categories.memberNames.map(JSON.string))),
                (
                    "arguments",
                    .list(
                        kind.arguments.map {
                            .object([
                                ("name", .string($0.name)), ("format", .string($0.format.rawValue)),
                            ])
                        })
                ),
            ])
        }
        return .object([
            ("trace", .string("lguest")), ("version", .number(1)), ("kernel", .string(header.kernel)),
            ("linux", .string(header.version)), ("memory", .number(Double(header.memoryBytes))),
            ("engine", .string(header.engine)), ("kinds", .list(kinds)),
        ])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Reads a trace that lguest wrote, in either JSON form: both have one event a line, so that a trace of any length
// is read with little memory. The file may be anything: what does not fit is refused with its line.

import Support
import Tap

struct TraceFile {
    private let file: InputFile
    private static let sizeLimit: UInt64 = 1 << 40
    private static let lineLimit = 64 << 20

    init(path: String) throws(LguestError) {
        file = try InputFile(path: path, purpose: "trace", maximumSize: Self.sizeLimit)
    }

    /// Hands the whole trace to `trace`. Throws `.badInput` for what is no trace of lguest's.
    func read(into trace: any SeenTrace) throws(LguestError) {
        if try isTimeline() {
            // What the kinds mean is said at the end, where the format wants it.
            let header = try timelineHeader()
            var reader = EventReader(header)
            trace.begin(reader.header, kinds: reader.kinds)
            var part = Part.events
            try forEachLine { (line, number) throws(LguestError) in
                try self.timelineLine(line, number, &part, &reader, trace)
            }
        } else {
            var reader: EventReader?
            try forEachLine { (line, number) throws(LguestError) in
                let value = try self.parse(line, number)
                if let known = reader {
                    var known = known
                    try self.deliver(value, number, &known, trace)
                    reader = known
                } else {
                    guard value["trace"]?.string == "lguest" else { throw self.refusal() }
                    let made = EventReader(value)
                    trace.begin(made.header, kinds: made.kinds)
                    reader = made
                }
            }
            guard reader != nil else { throw refusal() }
        }
    }

    private func refusal() -> LguestError {
        LguestError(
            .badInput, "\(file.name): no trace of lguest's",
            hint: "make one with --trace=all --trace-output=FILE.json or FILE.jsonl")
    }

    private func deliver(
        _ value: JSON, _ number: Int, _ reader: inout EventReader, _ trace: any SeenTrace
    ) throws(LguestError) {
        if let name = value["record"]?.string {
            if let kind = TraceRecord.Kind(rawValue: name) {
                trace.record(TraceRecord(kind, value["value"] ?? .null))
            }
            return
        }
        guard let event = reader.event(value) else {
            throw LguestError(.badInput, "\(file.name): line \(number) is no event")
        }
        trace.event(event, names: reader.names)
    }

    // MARK: The Trace Event Format

    private enum Part { case events, records, rest }

    private func isTimeline() throws(LguestError) -> Bool {
        let start = try file.bytes(0, count: min(24, file.size))
        return start.starts(with: Array("{\"displayTimeUnit\"".utf8))
    }

    private func timelineHeader() throws(LguestError) -> JSON {
        let mark = Array("\"otherData\":".utf8)
        var found: JSON?
        try forEachLine { (line, number) throws(LguestError) in
            guard found == nil, line.starts(with: mark) else { return }
            found = try self.parse(line.dropFirst(mark.count), number)
        }
        guard let found, found["trace"]?.string == "lguest" else {
            throw LguestError(
                .badInput, "\(file.name): the trace has no end", hint: "was lguest killed while it wrote?")
        }
        return found
    }

    private func timelineLine(
        _ line: ArraySlice<UInt8>, _ number: Int, _ part: inout Part, _ reader: inout EventReader,
        _ trace: any SeenTrace
    ) throws(LguestError) {
        if line.starts(with: "],".utf8) { part = .rest }
        if line.starts(with: "\"records\"".utf8) { part = .records }
        guard line.first == UInt8(ascii: "{"), number > 1, part != .rest else { return }
        let value = try parse(line, number)
        guard part == .events else { return try deliver(value, number, &reader, trace) }
        let phase = value["ph"]?.string
        if phase == "M" || value["cat"]?.string == "mode" { return }
        guard let event = reader.timelineEvent(value) else {
            throw LguestError(.badInput, "\(file.name): line \(number) is no event")
        }
        trace.event(event, names: reader.names)
    }

    private func parse(_ line: ArraySlice<UInt8>, _ number: Int) throws(LguestError) -> JSON {
        let text = line.last == UInt8(ascii: ",") ? line.dropLast() : line
        do throws(JSONError) {
            return try JSONParser.parse(text)
        } catch {
            throw LguestError(
                .badInput, "\(file.name): line \(number), character \(error.offset + 1): \(error.reason)")
        }
    }

    // MARK: Lines

    private func forEachLine(
        _ body: (ArraySlice<UInt8>, Int) throws(LguestError) -> Void
    ) throws(LguestError) {
        var rest: [UInt8] = []
        var offset: UInt64 = 0
        var number = 0
        while offset < file.size {
            let count = min(1 << 20, file.size - offset)
            rest += try file.bytes(offset, count: count)
            offset += count
            var start = 0
            while let end = rest[start...].firstIndex(of: 0x0A) {
                number += 1
                if end > start { try body(rest[start..<end], number) }
                start = end + 1
            }
            rest.removeFirst(start)
            guard rest.count <= Self.lineLimit else {
                throw LguestError(.badInput, "\(file.name): line \(number + 1) has no end")
            }
        }
        if !rest.isEmpty { try body(rest[...], number + 1) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A trace for programs: one JSON object a line. The first describes the guest and the kinds of events, each
// further one is an event (`"event"`) or a record (`"record"`). Times are in nanoseconds.

import Tap

public final class JSONLinesOutput: TraceOutput {
    private let file: OutputFile
    private var out = TextBuffer(capacity: 1 << 17)
    private var json: EventJSON?

    public init(_ file: OutputFile) { self.file = file }

    public func begin(_ header: TraceHeader, _ tap: TraceTap, _ names: GuestNames) {
        let isFirst = json == nil
        json = EventJSON(tap, names)
        guard isFirst else { return }
        out.put(string: EventJSON.header(header, tap).text)
        out.put("\n")
    }

    public func event(_ event: TraceEvent) {
        guard let json else { return }
        out.put("{\"time\":")
        out.put(decimal: event.time)
        if event.flags.contains(.timed) {
            out.put(",\"duration\":")
            if event.duration == TraceEvent.unknownDuration {
                out.put("null")
            } else {
                out.put(decimal: UInt64(event.duration))
            }
        }
        out.put(",\"event\":")
        out.put(json.name(event))
        out.put(",\"categories\":")
        out.put(json.categories(event))
        out.put(",")
        json.putDetails(event, into: &out)
        out.put("}\n")
        if out.count > 1 << 16 { flush() }
    }

    public func record(_ record: TraceRecord) {
        out.put("{\"record\":")
        out.put(jsonString: record.kind.rawValue)
        out.put(",\"value\":")
        out.put(string: record.value.text)
        out.put("}\n")
    }

    public func flush() {
        guard !out.isEmpty else { return }
        file.write(out.bytes)
        out.clear()
    }

    public func end() { flush() }
}

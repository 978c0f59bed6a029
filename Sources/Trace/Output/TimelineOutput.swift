// SPDX-License-Identifier: Apache-2.0
//
// A trace as a file that https://ui.perfetto.dev and chrome://tracing open: the Trace Event Format, a JSON
// object with the list `traceEvents`. One event a line, so that `lguest report` can read it piece by piece.
//
// Track 1 shows what crossed the edge of guest code; track 2 what ran: the kernel, a program, nobody; track 3
// the host's side of the devices.

import Tap

public final class TimelineOutput: TraceOutput {
    private enum Track {
        static let edges: UInt64 = 1
        static let modes: UInt64 = 2
        static let host: UInt64 = 3
    }

    private enum Mode: String { case kernel, program, idle }

    private let file: OutputFile
    private var out = TextBuffer(capacity: 1 << 17)
    private var json: EventJSON?
    private var tap: TraceTap?
    private var records: [TraceRecord] = []
    private var header = JSON.null
    private var mode: (name: Mode, since: UInt64) = (.kernel, 0)
    private var last: UInt64 = 0

    public init(_ file: OutputFile) { self.file = file }

    public func begin(_ header: TraceHeader, _ tap: TraceTap, _ names: GuestNames) {
        let isFirst = json == nil
        json = EventJSON(tap, names)
        self.tap = tap
        guard isFirst else { return }
        self.header = EventJSON.header(header, tap)
        out.put("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")
        putName("process_name", 0, "lguest: " + header.kernel)
        out.put(",\n")
        putName("thread_name", Track.edges, "edges of guest code")
        out.put(",\n")
        putName("thread_name", Track.modes, "who runs")
        out.put(",\n")
        putName("thread_name", Track.host, "host side of the devices")
    }

    private func putName(_ what: StaticString, _ track: UInt64, _ name: String) {
        out.put("{\"ph\":\"M\",\"pid\":1,\"tid\":")
        out.put(decimal: track)
        out.put(",\"name\":\"")
        out.put(what)
        out.put("\",\"args\":{\"name\":")
        out.put(jsonString: name)
        out.put("}}")
    }

    public func event(_ event: TraceEvent) {
        guard let json, let tap else { return }
        let isTimed = event.flags.contains(.timed) && event.duration != TraceEvent.unknownDuration
        follow(event, tap)
        out.put(",\n{\"ph\":")
        out.put(isTimed ? "\"X\"" : "\"i\",\"s\":\"t\"")
        out.put(",\"pid\":1,\"tid\":")
        out.put(decimal: event.ring == TraceEvent.hostRing ? Track.host : Track.edges)
        putTime(",\"ts\":", event.time)
        if isTimed { putTime(",\"dur\":", UInt64(event.duration)) }
        out.put(",\"name\":")
        out.put(json.name(event))
        out.put(",\"cat\":")
        out.put(json.categories(event))
        out.put(",\"args\":{")
        json.putDetails(event, into: &out)
        out.put("}}")
        if out.count > 1 << 16 { flush() }
    }

    /// Microseconds with three digits behind the point, as the format wants it.
    private func putTime(_ member: StaticString, _ nanoseconds: UInt64) {
        out.put(member)
        out.put(decimal: nanoseconds / 1000)
        out.put(".")
        out.put(decimal: nanoseconds % 1000, width: 3)
    }

    /// The track of who runs: changed by what enters the kernel, goes back to a program, or sleeps.
    private func follow(_ event: TraceEvent, _ tap: TraceTap) {
        last = max(last, event.time)
        switch Int(event.kind) {
        case CommonKind.enterUser.rawValue: change(.program, event.time)
        case CommonKind.halted.rawValue:
            change(.idle, event.time)
            change(.kernel, event.time + UInt64(event.duration == .max ? 0 : event.duration))
        case CommonKind.trap.rawValue, CommonKind.pageFault.rawValue, CommonKind.systemCall.rawValue,
            CommonKind.interrupt.rawValue:
            change(.kernel, event.time)
        default: break
        }
    }

    private func change(_ name: Mode, _ time: UInt64) {
        if mode.name == name || time < mode.since { return }
        if time > mode.since { putMode(until: time) }
        mode = (name, time)
    }

    private func putMode(until end: UInt64) {
        out.put(",\n{\"ph\":\"X\",\"pid\":1,\"tid\":")
        out.put(decimal: Track.modes)
        putTime(",\"ts\":", mode.since)
        putTime(",\"dur\":", end - mode.since)
        out.put(",\"name\":\"")
        out.put(string: mode.name.rawValue)
        out.put("\",\"cat\":\"mode\",\"args\":{}}")
    }

    public func record(_ record: TraceRecord) { records.append(record) }

    public func flush() {
        guard !out.isEmpty else { return }
        file.write(out.bytes)
        out.clear()
    }

    public func end() {
        if last > mode.since { putMode(until: last) }
        out.put("\n],\n\"otherData\":")
        out.put(string: header.text)
        out.put(",\n\"records\":[\n")
        for (index, record) in records.enumerated() {
            if index > 0 { out.put(",\n") }
            let members = [("record", JSON.string(record.kind.rawValue)), ("value", record.value)]
            out.put(string: JSON.object(members).text)
        }
        out.put("\n]}\n")
        flush()
    }
}

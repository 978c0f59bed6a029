// SPDX-License-Identifier: Apache-2.0
//
// A report made while the guest runs: events are counted as they come, the page is written at the end.

import Tap

public final class ReportOutput: TraceOutput {
    private let file: OutputFile
    private let explain: RunReport.Explain
    private let report = RunReport()
    private var guest: (tap: TraceTap, names: GuestNames)?

    public init(_ file: OutputFile, explain: @escaping RunReport.Explain) {
        self.file = file
        self.explain = explain
    }

    public func begin(_ header: TraceHeader, _ tap: TraceTap, _ names: GuestNames) {
        guest = (tap, names)
        report.begin(header, kinds: tap.kinds)
    }

    public func event(_ event: TraceEvent) {
        guard let guest, Int(event.kind) < guest.tap.kinds.count else { return }
        var seen = SeenEvent()
        seen.time = event.time
        let isTimed = event.flags.contains(.timed) && event.duration != TraceEvent.unknownDuration
        seen.duration = isTimed ? UInt64(event.duration) : nil
        seen.kind = Int(event.kind)
        seen.ring = event.ring
        seen.isQueued = event.flags.contains(.queued)
        if event.ring != TraceEvent.hostRing {
            seen.place = guest.names.origin(of: event, guest.tap).description
        }
        seen.task = String(decoding: guest.names.task(event.task), as: UTF8.self)
        seen.cr3 = event.cr3
        seen.arguments = event.arguments
        for (index, argument) in guest.tap.kinds[seen.kind].arguments.enumerated()
        where argument.format == .address {
            let place = guest.names.place(event.arguments[index & 3], guest.tap)
            if place.symbol != nil { seen.symbols.append((event.arguments[index & 3], place.description)) }
        }
        report.event(seen, names: guest.tap.names)
    }

    public func record(_ record: TraceRecord) { report.record(record) }

    public func flush() {}

    public func end() { file.write(report.page(explain: explain)) }
}

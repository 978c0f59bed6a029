// SPDX-License-Identifier: Apache-2.0
//
// Joins a machine to the outputs of a trace. The outputs outlive machines: after a restart the next machine
// writes to the same files.

import GuestMemory
import Support
import Tap
import Trace
import X86

/// The open outputs of a trace.
public final class Tracing {
    let request: TraceRequest
    let outputs: [any TraceOutput]
    private let files: [OutputFile]
    private let header: TraceHeader
    private var start: UInt64?
    /// Told of files that could not be written.
    private let warn: (String) -> Void

    /// Creates the files. Throws `.badInput` for those that cannot be created.
    public init(
        _ request: TraceRequest, _ header: TraceHeader, rawTerminal: Bool, warn: @escaping (String) -> Void
    ) throws(LguestError) {
        self.request = request
        self.header = header
        self.warn = warn
        var (outputs, files): ([any TraceOutput], [OutputFile]) = ([], [])
        for destination in request.destinations {
            let file: OutputFile
            switch destination {
            case .terminal: file = OutputFile()
            case .text(let path), .jsonLines(let path), .timeline(let path), .report(let path):
                file = try OutputFile(creating: path)
            }
            files.append(file)
            switch destination {
            case .terminal:
                let isRaw = rawTerminal && file.isTerminal
                outputs.append(
                    LineOutput(file, colour: request.colour ?? file.isTerminal, rawTerminal: isRaw))
            case .text: outputs.append(LineOutput(file, colour: request.colour ?? false))
            case .jsonLines: outputs.append(JSONLinesOutput(file))
            case .timeline: outputs.append(TimelineOutput(file))
            case .report: outputs.append(ReportOutput(file, explain: Report.explanation))
            }
        }
        self.outputs = outputs
        self.files = files
    }

    /// Connects `machine`, before its first instruction.
    func attach(_ machine: Machine) -> MachineTrace {
        let names = machine.guestNames
        let writer = TraceWriter(header, filter: request.filter, outputs: outputs, names: names)
        let trace = MachineTrace(machine, request, writer)
        let tap = machine.cpu.owner.tap
        tap.clock = machine.clock
        tap.attach(writer, startingAt: start)
        start = start ?? machine.clock.monotonicNanoseconds()
        if let heat = trace.heat { tap.attach(heat) }
        tap.observer = machine.observer
        tap.categories = request.categories
        return trace
    }

    /// Completes the files, after the last machine.
    public func finish() {
        for output in outputs { output.end() }
        for file in files {
            if let failure = file.failure { warn("\(file.name): the trace is not complete: \(failure)") }
        }
    }
}

/// The trace of one machine.
final class MachineTrace {
    private unowned let machine: Machine
    private let writer: TraceWriter
    let heat: HeatMap?
    private let takesRecords: Bool
    private var moments: [Double]
    /// Page tables that were recorded, and those that are kept at most.
    private var snapshots = 0
    private static let limit = 24
    private var hasSeenUser = false

    init(_ machine: Machine, _ request: TraceRequest, _ writer: TraceWriter) {
        self.machine = machine
        self.writer = writer
        takesRecords = request.wantsRecords
        let cpu = machine.cpu
        heat = takesRecords ? HeatMap(machine.memory) { cpu.peekTranslate($0) } : nil
        // Early ones lie close together: most happens while a kernel starts.
        moments = takesRecords ? (request.moments + [0.01, 0.1, 0.3, 1, 3, 10]).sorted() : []
    }

    /// Between two slices: hands events over, and looks whether it is a moment to record.
    func attend() {
        let tap = machine.cpu.owner.tap
        tap.drain()
        guard takesRecords else { return }
        if !hasSeenUser, machine.cpu.cpl == 3 {
            hasSeenUser = true
            record("the first program", tap)
        }
        while let moment = moments.first, Double(tap.elapsed) / 1e9 >= moment {
            moments.removeFirst()
            record("after \(moment) s", tap)
        }
    }

    private func record(_ label: String, _ tap: TraceTap) {
        let cpu = machine.cpu
        guard cpu.system.cr0 & ControlBits.pg != 0, snapshots < Self.limit else { return }
        snapshots += 1
        let pae = cpu.system.cr4 & ControlBits.pae != 0
        let tables = PageTableSnapshot(
            machine.memory, root: cpu.system.cr3, pae: pae,
            largePages: cpu.system.cr4 & ControlBits.pse != 0)
        let task = machine.observer.taskName(machine.observer.currentTask()) ?? ""
        let json = tables.json(
            time: tap.elapsed, label: label, root: cpu.system.cr3, pae: pae, task: task)
        writer.record(TraceRecord(.pageTables, json), of: tap)
    }

    /// After the guest's last instruction.
    func finish() {
        let tap = machine.cpu.owner.tap
        tap.drain()
        if takesRecords {
            record("at the end", tap)
            if let heat { writer.record(TraceRecord(.heat, heat.json), of: tap) }
            let rows = machine.statisticsRows.map { ($0.name, JSON.string($0.value)) }
            writer.record(TraceRecord(.statistics, .object(rows)), of: tap)
        }
        writer.finish(tap)
        tap.stop()
    }
}

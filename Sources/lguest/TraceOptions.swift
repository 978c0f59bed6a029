// SPDX-License-Identifier: Apache-2.0
//
// Options by which a run is watched.

import ArgumentParser
import LguestKit
import Support

/// When lines have colours.
enum ColourChoice: String, CaseIterable, ExpressibleByArgument {
    case auto, always, never
}

struct TraceOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Show what happens at the guest's edges: "
                + TraceCategory.names.map(\.name).joined(separator: ", ") + ", or all.",
            valueName: "KIND,..."))
    var trace: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Show only some of it: symbol=GLOB, event=GLOB, vector=N, task=NAME, mode=kernel|user|host; several behind commas.",
            valueName: "FILTER"))
    var traceFilter: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where the trace goes: 'terminal', FILE.json for Perfetto, FILE.jsonl for JSON lines, another FILE for text.",
            valueName: "DEST"))
    var traceOutput: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Record the page tables after so long, for the report (may be repeated).", valueName: "SECONDS"))
    var traceMoment: [Double] = []

    @Option(name: .long, help: "Colours in traces.")
    var color = ColourChoice.auto

    @Option(
        name: .long,
        help: ArgumentHelp("The kernel's symbols: a vmlinux or a System.map.", valueName: "FILE"))
    var symbols: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Write a page about the run, for a browser.", valueName: "FILE"))
    var report: String?

    /// What is to be seen, or nil. Throws `.badInput` for words that make no sense.
    func request() throws(LguestError) -> TraceRequest? {
        guard trace != nil || report != nil else {
            if !traceFilter.isEmpty || !traceOutput.isEmpty || !traceMoment.isEmpty {
                throw LguestError(.badInput, "nothing is traced", hint: "say what with --trace=KIND")
            }
            return nil
        }
        // A report is about everything, if nobody says otherwise.
        let (categories, unknown) = TraceCategory.parse(trace ?? "all")
        if let unknown {
            let known = TraceCategory.names.map(\.name).joined(separator: ", ")
            throw LguestError(
                .badInput, "there is no kind of event called '\(unknown.asOneLine)'", hint: "\(known), all")
        }
        var request = TraceRequest(categories)
        request.filter = try TraceFilter(parsing: traceFilter)
        request.destinations = traceOutput.map(Self.destination)
        if trace != nil, traceOutput.isEmpty, report == nil { request.destinations = [.terminal] }
        if let report { request.destinations.append(.report(report)) }
        switch color {
        case .auto:
            if let plain = ProcessFacts.environment("NO_COLOR"), !plain.isEmpty { request.colour = false }
        case .always: request.colour = true
        case .never: request.colour = false
        }
        guard traceMoment.allSatisfy({ $0 >= 0 && $0 <= 1e6 }) else {
            throw LguestError(.badInput, "a moment is a number of seconds", hint: "--trace-moment=0.5")
        }
        request.moments = traceMoment
        return request
    }

    private static func destination(_ word: String) -> TraceRequest.Destination {
        if word == "terminal" || word == "-" { return .terminal }
        if word.hasSuffix(".jsonl") { return .jsonLines(word) }
        if word.hasSuffix(".json") { return .timeline(word) }
        return word.hasSuffix(".html") ? .report(word) : .text(word)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `lguest report TRACE -o report.html`: a page about a run, from the trace that it left.

import ArgumentParser
import LguestKit
import Support

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make a page for a browser from a trace.",
        usage: "lguest report TRACE -o FILE.html",
        discussion: "TRACE is a file of --trace-output: FILE.json or FILE.jsonl.")

    @Argument(help: ArgumentHelp("The trace.", valueName: "TRACE"))
    var trace: String

    @Option(name: [.short, .long], help: ArgumentHelp("The page.", valueName: "FILE"))
    var output: String

    func run() throws {
        try Report.write(trace: trace, to: output)
    }
}

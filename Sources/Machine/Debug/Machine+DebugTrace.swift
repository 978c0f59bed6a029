// SPDX-License-Identifier: Apache-2.0
//
// `monitor trace …` in a debugger: switches categories of the trace while the guest runs. Without a trace on the
// command line, lines go to standard error.

import Debug
import Support
import Tap
import Trace

extension Machine {
    private static let traceHelp = """
        trace                      which categories are recorded
        trace CATEGORIES on|off    such as: trace hypercall,irq on
        trace off                  records nothing
        categories: \(TraceCategory.names.map(\.name).joined(separator: ", ")), all
        Lines go where --trace-output says, else to lguest's standard error.
        """

    public func trace(_ words: [String]) -> String {
        switch (words.first, words.count) {
        case (nil, _): return recorded
        case ("off", 1):
            tap.categories = []
            return recorded
        case ("help", _): return Self.traceHelp
        default: break
        }
        guard words.count <= 2, let list = words.first,
            ["on", "off"].contains(words.last ?? "") || words.count == 1
        else { return Self.traceHelp }
        let (categories, unknown) = TraceCategory.parse(list)
        if let unknown { return "no category '\(unknown.asOneLine)'; 'monitor trace help' lists all" }
        if words.last == "off" {
            tap.categories.subtract(categories)
        } else {
            guard prepareTrace() else { return "no trace can be made now" }
            tap.categories.formUnion(categories)
        }
        return recorded
    }

    private var recorded: String {
        let names = tap.categories.memberNames
        return names.isEmpty ? "nothing is recorded" : "recorded: " + names.joined(separator: ", ")
    }

    /// Makes sure that events go somewhere.
    private func prepareTrace() -> Bool {
        guard !isTraced else { return true }
        var request = TraceRequest([])
        request.destinations = [.terminal]
        let header = TraceHeader(
            kernel: kernelName, version: kernel.linuxVersion?.description ?? "", memoryBytes: memory.ramSize,
            engine: "")
        guard let tracing = try? Tracing(request, header, rawTerminal: true, warn: { _ in }) else {
            return false
        }
        control.tracing = tracing
        record(for: tracing)
        return true
    }
}

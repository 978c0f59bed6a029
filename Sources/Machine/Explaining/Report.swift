// SPDX-License-Identifier: Apache-2.0

import Support
import Trace

/// Pages about runs.
public enum Report {
    /// Makes the page `output` from the trace in the file `trace`. Throws `.badInput` for what is no trace, and
    /// when the page cannot be written.
    public static func write(trace: String, to output: String) throws(LguestError) {
        let report = try RunReport.read(trace)
        let file = try OutputFile(creating: output)
        file.write(report.page(explain: explanation))
        if let failure = file.failure { throw LguestError(.badInput, "\(file.name): \(failure)") }
    }

    /// What a report says of an event, by topic: a title and a paragraph.
    static func explanation(_ topic: String) -> (title: String, text: String)? {
        Explanations.find(topic).first.map { ($0.title, $0.use) }
    }
}

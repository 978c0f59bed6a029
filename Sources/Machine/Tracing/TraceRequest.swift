// SPDX-License-Identifier: Apache-2.0

import Tap
import Trace

/// What somebody wants to see of a guest's run.
public struct TraceRequest: Sendable, Equatable {
    public enum Destination: Sendable, Equatable {
        /// Lines for people on standard error.
        case terminal
        /// The same in a file.
        case text(String)
        /// One JSON object a line.
        case jsonLines(String)
        /// The Trace Event Format of Perfetto and chrome://tracing.
        case timeline(String)
        /// A page for a browser.
        case report(String)
    }

    public var categories: TraceCategory
    public var filter = TraceFilter()
    public var destinations: [Destination] = []
    /// Whether lines have colours: nil means where they go to a terminal.
    public var colour: Bool?
    /// Seconds after the start at which page tables are recorded, beside the moments that are chosen anyway.
    public var moments: [Double] = []

    public init(_ categories: TraceCategory) { self.categories = categories }

    /// Whether page tables and a map of memory are wanted.
    var wantsRecords: Bool {
        destinations.contains {
            switch $0 {
            case .terminal, .text: false
            case .jsonLines, .timeline, .report: true
            }
        }
    }
}

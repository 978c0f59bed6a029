// SPDX-License-Identifier: Apache-2.0
//
// Counters as one JSON object. A counter's key is its name with underscores and, where it has one, its unit; times
// are in seconds. A labelled counter is an object with a member for each label.

import Support

enum StatisticsJSON {
    static func text(_ readings: [CounterReading]) -> String {
        var members: [String] = []
        for counter in Counter.allCases {
            let own = readings.filter { $0.counter == counter }
            if counter.isLabelled {
                let inner = own.map { "    \(quoted($0.label ?? "")): \(number($0))" }
                let body = inner.isEmpty ? "{}" : "{\n" + inner.joined(separator: ",\n") + "\n  }"
                members.append("  \(quoted(key(counter))): \(body)")
            } else if let reading = own.first {
                members.append("  \(quoted(key(counter))): \(number(reading))")
            }
        }
        return "{\n" + members.joined(separator: ",\n") + "\n}"
    }

    private static func key(_ counter: Counter) -> String {
        let words = counter.name.lowercased().split { !$0.isLetter && !$0.isNumber }.joined(separator: "_")
        switch counter.unit {
        case .count: return words
        case .bytes: return words + "_bytes"
        case .nanoseconds: return words + "_seconds"
        }
    }

    private static func number(_ reading: CounterReading) -> String {
        guard reading.counter.unit == .nanoseconds else { return String(reading.value) }
        let digits = String(reading.value % 1_000_000_000)
        return "\(reading.value / 1_000_000_000)." + String(repeating: "0", count: 9 - digits.count) + digits
    }

    /// Names and labels are plain words: nothing in them needs an escape but these two.
    private static func quoted(_ text: String) -> String {
        "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
    }
}

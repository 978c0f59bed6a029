// SPDX-License-Identifier: Apache-2.0
//
// `lguest ps [--json]`: the guests of this user that run now.

import ArgumentParser
import Monitor
import Support
import Trace

struct PsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ps", abstract: "List running guests.")

    @Flag(name: .long, help: "Print a JSON list with all that is known.")
    var json = false

    func run() throws {
        let folder = ControlFolder.ofUser
        folder.removeStale()
        let guests = folder.sockets().compactMap(Self.status)
        print(json ? JSON.list(guests).text : Self.table(guests))
    }

    /// What the guest behind a socket says; nil when it has just ended or does not answer.
    private static func status(_ path: String) -> JSON? {
        guard let client = try? MonitorClient(path: path) else { return nil }
        return try? client.ask("status", milliseconds: 2000)
    }

    static func table(_ guests: [JSON]) -> String {
        let head = ["NAME", "PID", "STATE", "MEMORY", "UPTIME", "KERNEL"]
        let rows = [head] + guests.map(row)
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(row, widths).enumerated().map { index, cell in
                index == head.count - 1
                    ? cell.0 : cell.0 + String(repeating: " ", count: cell.1 - cell.0.count + 2)
            }.joined()
        }.joined(separator: "\n")
    }

    private static func row(_ guest: JSON) -> [String] {
        let version = guest["version"]?.string.map { "Linux \($0)" }
        let file = guest["kernel"]?.string?.split(separator: "/").last.map(String.init)
        return [
            guest["name"]?.string?.asOneLine ?? "?", guest["pid"]?.word.map(String.init) ?? "?",
            guest["state"]?.string?.asOneLine ?? "?",
            guest["memory"]?.word.map(\.asByteCount) ?? "?",
            guest["uptime"]?.number.map(time) ?? "?", (version ?? file ?? "?").asOneLine,
        ]
    }

    /// `1:02:03` or `2:03`.
    private static func time(_ seconds: Double) -> String {
        let whole = Int(max(0, min(seconds, 1e15)))
        let two = { (value: Int) in (value < 10 ? "0" : "") + String(value) }
        let hours = whole / 3600
        let minutes = whole / 60 % 60
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(whole % 60))" : "\(minutes):\(two(whole % 60))"
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `lguest monitor NAME [COMMAND …]`: asks a running guest, or steers it. Without a command, one line of standard
// input after the other is one.

import ArgumentParser
import Boot
import Monitor
import Support
import Trace

struct MonitorSubcommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "monitor",
        abstract: "Look at a running guest, pause it, end it.",
        usage: "lguest monitor [--json] NAME [COMMAND]",
        discussion: "Commands:\n"
            + Monitor.MonitorCommand.allCases.map { command in
                "  \(command.rawValue)" + String(repeating: " ", count: 10 - command.rawValue.count)
                    + command.summary
            }.joined(separator: "\n"))

    @Flag(name: .long, help: "Print answers as JSON, one a line.")
    var json = false

    @Argument(help: ArgumentHelp("The guest's name (--name), or lguest's process number.", valueName: "NAME"))
    var name: String

    @Argument(help: ArgumentHelp("What to do.", valueName: "COMMAND"))
    var command: [String] = []

    func run() throws {
        let client = try Self.connect(name)
        if !command.isEmpty { return try carryOut(command, client) }
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            if words.isEmpty { continue }
            do throws(LguestError) {
                try carryOut(words, client)
            } catch {
                guard error.code != .host else { throw error }
                StandardError.print("lguest: \(error.description)")
            }
            if words[0] == "quit" { break }
        }
    }

    private static func connect(_ name: String) throws(LguestError) -> MonitorClient {
        let folder = ControlFolder.ofUser
        for candidate in [name, "lguest-\(name)"] {
            if let client = try? MonitorClient(path: folder.socket(of: candidate)) { return client }
        }
        // A named guest may be meant by its process number.
        if let number = UInt64(name) {
            for path in folder.sockets() {
                guard let client = try? MonitorClient(path: path),
                    let status = try? client.ask("status", milliseconds: 2000),
                    status["pid"]?.word == number
                else { continue }
                return client
            }
        }
        throw LguestError(
            .badInput, "no guest named '\(name.asOneLine)' runs", hint: "'lguest ps' lists those that do")
    }

    private func carryOut(_ words: [String], _ client: MonitorClient) throws(LguestError) {
        let answer = try client.ask(words[0], try Self.members(words))
        print(json ? answer.text : Self.lines(words[0], answer).joined(separator: "\n"))
    }

    private static func members(_ words: [String]) throws(LguestError) -> [(String, JSON)] {
        guard words[0] == "balloon" else {
            guard words.count == 1 else {
                throw LguestError(.badInput, "'\(words[0].asOneLine)' takes no more words")
            }
            return []
        }
        guard words.count == 2 else {
            throw LguestError(.badInput, "balloon: how much?", hint: "balloon 32m")
        }
        let bytes = try BalloonSize.bytes(words[1])
        return [("bytes", .integer(bytes))]
    }

    /// An answer as people read it.
    static func lines(_ command: String, _ answer: JSON) -> [String] {
        if command == "screen", case .list(let rows) = answer["rows"] { return rows.compactMap(\.string) }
        if command == "tasks", case .list(let tasks) = answer {
            return tasks.isEmpty
                ? ["the guest's tasks cannot be found: no Linux, or not yet"]
                : tasks.map { task in
                    let pid = task["pid"]?.text ?? "?"
                    let mark = task["runs"] == .bool(true) ? "* " : "  "
                    return mark + String(repeating: " ", count: max(0, 5 - pid.count)) + pid + "  "
                        + (task["name"]?.string?.asOneLine ?? "?")
                }
        }
        guard case .object(let all) = answer else {
            return answer == .bool(true) ? ["ok"] : [answer.text]
        }
        let members = command == "stats" ? all.flatMap(counters) : all.map(readable)
        let width = members.map(\.0.count).max() ?? 0
        return members.map { member in
            let value = member.1.string?.asOneLine ?? (member.1 == .null ? "-" : member.1.text)
            return member.0 + String(repeating: " ", count: width - member.0.count + 2) + value
        }
    }

    /// Amounts of memory and of time with their units, as `lguest ps` shows them.
    private static func readable(_ member: (String, JSON)) -> (String, JSON) {
        switch member.0 {
        case "memory", "balloon":
            (member.0, member.1.word.map { .string($0.asByteCount) } ?? member.1)
        case "uptime", "busy": (member.0, member.1.number.map { .string("\($0) s") } ?? member.1)
        default: member
        }
    }

    /// The rows of one counter: one, or one for each of its labels.
    private static func counters(_ member: (String, JSON)) -> [(String, JSON)] {
        let name = member.0.split(separator: "_").joined(separator: " ")
        guard case .object(let labels) = member.1 else { return [(name, member.1)] }
        return labels.map { ("\(name): \($0.0)", $0.1) }
    }
}

/// How much memory a guest shall lend: a number of MiB, or with a letter.
enum BalloonSize {
    static func bytes(_ text: String) throws(LguestError) -> UInt64 {
        let units: [Character: UInt64] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
        let unit = text.last.flatMap { units[Character($0.lowercased())] }
        guard let number = UInt64(unit == nil ? text : String(text.dropLast())),
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1 << 20), !overflow
        else {
            throw LguestError(.badInput, "'\(text.asOneLine)' is no amount of memory", hint: "such as 32m")
        }
        return bytes
    }
}

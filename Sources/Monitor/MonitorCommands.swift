// SPDX-License-Identifier: Apache-2.0
//
// What the monitor can be asked for.

import Support
import Trace

/// Why a command was not carried out, in one line.
struct MonitorFailure: Error, Equatable {
    let text: String
}

public enum MonitorCommand: String, CaseIterable, Sendable {
    case status, pause, `continue`, stats, tasks, screen, nmi, balloon, quit, help

    public var summary: String {
        switch self {
        case .status: "what runs, in which state, for how long"
        case .pause: "hold the guest still"
        case .continue: "let it go on"
        case .stats: "what --stats prints at the end"
        case .tasks: "the kernel's tasks, where they can be found"
        case .screen: "what the console shows, as text"
        case .nmi: "raise a non-maskable interrupt"
        case .balloon: "ask the guest to lend so much memory: balloon 32m"
        case .quit: "end the guest at once"
        case .help: "this list"
        }
    }
}

struct MonitorCommands {
    let guest: any MonitoredGuest
    let identity: MonitorServer.Identity
    let screen: TerminalScreen

    func run(_ word: String, _ request: JSON) -> Result<JSON, MonitorFailure> {
        guard let command = MonitorCommand(rawValue: word) else {
            return .failure(MonitorFailure(text: "no command '\(word.asOneLine)'; 'help' lists all"))
        }
        switch command {
        case .status: return .success(status)
        case .pause:
            guest.pause()
            return .success(status)
        case .continue:
            guest.unpause()
            return .success(status)
        case .stats: return .success(guest.statisticsObject)
        case .tasks:
            return .success(
                .list(
                    guest.tasks.map { task in
                        .object([
                            ("pid", .integer(UInt64(task.pid))), ("name", .string(task.name)),
                            ("runs", .bool(task.runs)),
                        ])
                    }))
        case .screen:
            return .success(
                .object([
                    ("rows", .list(screen.lines.map(JSON.string))),
                    ("columns", .integer(screen.columns)),
                    (
                        "cursor", .list([.integer(screen.row), .integer(screen.column)])
                    ),
                ]))
        case .nmi:
            guard guest.sendNMI() else {
                return .failure(MonitorFailure(text: "the guest has no handler for NMIs yet"))
            }
            return .success(.bool(true))
        case .balloon: return balloon(request)
        case .quit:
            guest.quit()
            return .success(.bool(true))
        case .help:
            return .success(
                .object(MonitorCommand.allCases.map { ($0.rawValue, .string($0.summary)) }))
        }
    }

    private func balloon(_ request: JSON) -> Result<JSON, MonitorFailure> {
        guard let bytes = request["bytes"]?.word else {
            return .failure(MonitorFailure(text: "\"bytes\" must be a number that is not negative"))
        }
        guard bytes < guest.status.memoryBytes else {
            return .failure(MonitorFailure(text: "the guest has less memory than that"))
        }
        guard guest.setBalloon(bytes: bytes) else {
            return .failure(MonitorFailure(text: "the guest has no balloon (start it with --balloon)"))
        }
        return .success(.bool(true))
    }

    private var status: JSON {
        let status = guest.status
        return .object([
            ("name", .string(identity.name)),
            ("pid", .integer(identity.processID)),
            ("state", .string(status.state.rawValue)),
            ("kernel", .string(status.kernel)),
            ("version", status.version.map(JSON.string) ?? .null),
            ("engine", .string(identity.engine)),
            ("memory", .integer(status.memoryBytes)),
            ("balloon", status.balloonBytes.map { .integer($0) } ?? .null),
            ("uptime", .number(Self.milliseconds(status.uptimeSeconds))),
            ("busy", .number(Self.milliseconds(status.busySeconds))),
            ("instructions", .integer(status.instructions)),
        ])
    }

    private static func milliseconds(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }
}

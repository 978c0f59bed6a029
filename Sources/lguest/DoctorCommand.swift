// SPDX-License-Identifier: Apache-2.0
//
// `lguest doctor [--json]`: what of this host works, what is missing, what that costs and how to get it.

import ArgumentParser
import LguestKit
import Support

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Try out what this host gives to guests.",
        discussion: "Ends with 0 when guests can run here, even if something is missing, else with 2.")

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    func run() throws {
        let findings = Doctor.examine() + [Self.builtinGuest()]
        print(json ? Self.object(findings).text() : Self.lines(findings).joined(separator: "\n"))
        if !Self.canRun(findings) { throw Ending.exit(LguestError.Code.host.exitStatus) }
    }

    static func canRun(_ findings: [Finding]) -> Bool {
        !findings.contains { $0.isRequired && $0.status == .missing }
    }

    private static func builtinGuest() -> Finding {
        do throws(LguestError) {
            return Finding("built-in guest", works: try BuiltinGuest.find())
        } catch {
            return Finding(
                "built-in guest", .missing, error.message, cost: "no lguest builtin",
                remedy: error.hint ?? "make")
        }
    }

    private static let nameWidth = 24
    private static let statusWidth = 9

    static func lines(_ findings: [Finding]) -> [String] {
        let padded = { (text: String, width: Int) in
            text + String(repeating: " ", count: max(1, width - text.count))
        }
        let indent = String(repeating: " ", count: nameWidth)
        var lines: [String] = []
        for finding in findings {
            lines.append(
                padded(finding.name, nameWidth) + padded(finding.status.rawValue, statusWidth) + finding.found
            )
            if let cost = finding.cost { lines.append(indent + padded("costs:", statusWidth) + cost) }
            if let remedy = finding.remedy { lines.append(indent + padded("get it:", statusWidth) + remedy) }
        }
        let amiss = findings.filter { $0.status != .works }.count
        lines.append("")
        lines.append(
            canRun(findings)
                ? "Guests run here"
                    + (amiss == 0
                        ? "; nothing is missing." : ", with \(amiss) restriction\(amiss == 1 ? "" : "s").")
                : "Guests do not run here.")
        return lines
    }

    static func object(_ findings: [Finding]) -> JSONText {
        let checks = findings.map { finding in
            JSONText.object([
                ("name", .string(finding.name)), ("status", .string(finding.status.rawValue)),
                ("found", .string(finding.found)), ("cost", JSONText(finding.cost)),
                ("remedy", JSONText(finding.remedy)), ("required", .bool(finding.isRequired)),
            ])
        }
        return .object([("guestsRun", .bool(canRun(findings))), ("checks", .list(checks))])
    }
}

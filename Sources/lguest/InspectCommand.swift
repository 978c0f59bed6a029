// SPDX-License-Identifier: Apache-2.0
//
// `lguest inspect FILE [--json]`: what a kernel file is, and whether it will boot here.

import ArgumentParser
import Boot
import Support

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Say what a kernel file is, and if it boots here.")

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    @Argument(help: ArgumentHelp("A vmlinux or bzImage.", valueName: "FILE"), completion: .file())
    var file: String

    func run() throws {
        let inspection = try Inspection(path: file)
        print(json ? Self.object(inspection).text() : Self.lines(inspection).joined(separator: "\n"))
    }

    static func lines(_ found: Inspection) -> [String] {
        let hex = { (value: UInt32) in "0x" + String(value, radix: 16) }
        let yesNo = { (flag: Bool) in flag ? "yes" : "no" }
        let format = found.format + (found.compression.map { ", packed with \($0.rawValue)" } ?? "")
        let rows: [(String, String?)] = [
            ("file", found.file), ("format", format), ("version", found.version.map { "Linux \($0)" }),
            (
                "guest interfaces",
                found.interfaces.isEmpty ? "none found" : found.interfaces.joined(separator: ", ")
            ),
            ("PAE", found.pae.map { yesNo($0.usesPAE) + " (by its \($0.source))" }),
            ("page offset", found.pageOffset.map(hex)),
            ("entry", found.entryPoint.map(hex)), ("relocatable", found.relocatable.map(yesNo)),
            ("devices", found.devices),
            ("configuration", found.configuration.map { "embedded, \($0.count) lines" } ?? "not embedded"),
            (
                "boots here",
                boots(found)
            ),
        ]
        return rows.map { name, value in
            name + String(repeating: " ", count: 18 - name.count) + (value ?? "not known")
        }
    }

    private static func boots(_ found: Inspection) -> String {
        switch found.bootsAs {
        case "bare": "yes, as it is, on a small PC"
        case let name?: "yes, as a guest of \(name)"
        case nil: "no: " + (found.obstacle?.description ?? "the reason is not known")
        }
    }

    static func object(_ found: Inspection) -> JSONText {
        let number = { (value: UInt32?) in value.map { JSONText.number(UInt64($0)) } ?? .null }
        return .object([
            ("file", .string(found.file)), ("format", .string(found.format)),
            ("compression", JSONText(found.compression?.rawValue)), ("version", JSONText(found.version)),
            ("interfaces", .list(found.interfaces.map(JSONText.string))),
            ("pae", JSONText(found.pae?.usesPAE)),
            ("pageOffset", number(found.pageOffset)), ("entry", number(found.entryPoint)),
            ("relocatable", JSONText(found.relocatable)), ("devices", JSONText(found.devices)),
            ("configuration", found.configuration.map { .list($0.map(JSONText.string)) } ?? .null),
            ("boots", .bool(found.bootsAs != nil)), ("bootsAs", JSONText(found.bootsAs)),
            ("obstacle", JSONText(found.obstacle?.description)),
        ])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `lguest explain [NAME]`: what a hypercall, trap, register or field is, in a few paragraphs.

import ArgumentParser
import LguestKit
import Support

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Explain a hypercall, a trap, a register, a shared field.",
        usage: "lguest explain [NAME ... | --all]",
        discussion: "Without NAME: the list of all names. A NAME may be a number: lguest explain 0x1f")

    @Flag(name: .long, help: "Explain everything.")
    var all = false

    @Argument(
        help: ArgumentHelp("As in a trace: SET_PTE, LHCALL_SET_PTE, page-fault, 14.", valueName: "NAME"))
    var names: [String] = []

    /// Width of a line of text.
    private static let width = 78

    func run() throws {
        if all {
            print(Explanations.all.map(Self.text).joined(separator: "\n\n"))
        } else if names.isEmpty {
            print(Self.contents)
        } else {
            var texts: [String] = []
            for name in names { texts += try Self.explain(name) }
            print(texts.joined(separator: "\n\n"))
        }
    }

    /// Throws `.badInput` for a name that nothing has.
    static func explain(_ name: String) throws(LguestError) -> [String] {
        let found = Explanations.find(name)
        guard found.isEmpty else { return found.map(text) }
        let near = Explanations.suggestions(name)
        throw LguestError(
            .badInput, "nothing is called '\(name.asOneLine)'",
            hint: near.isEmpty
                ? "'lguest explain' lists all names" : "perhaps " + near.joined(separator: ", "))
    }

    private static func text(_ explanation: Explanation) -> String {
        let others = shortened(Array(explanation.names.dropFirst())).joined(separator: ", ")
        var lines = ["\(explanation.names.first ?? "") – \(explanation.title)"]
        if !others.isEmpty { lines += wrap("also: " + others, indent: "  ") }
        lines += wrap(explanation.use, indent: "  ")
        lines += wrap("On real hardware: " + explanation.native, indent: "  ")
        if let others = explanation.others { lines += wrap("Elsewhere: " + others, indent: "  ") }
        return lines.joined(separator: "\n")
    }

    /// Long rows of numbers one after the other as their first and last.
    static func shortened(_ names: [String]) -> [String] {
        var result: [String] = []
        var at = 0
        while at < names.count {
            var end = at
            while end + 1 < names.count, let number = UInt32(names[end]), UInt32(names[end + 1]) == number + 1
            {
                end += 1
            }
            result += end - at >= 3 ? ["\(names[at]) to \(names[end])"] : Array(names[at...end])
            at = end + 1
        }
        return result
    }

    private static var contents: String {
        Explanation.Section.allCases.map { section in
            let entries = Explanations.all.filter { $0.section == section }
            let lines = entries.map { entry in
                let name = entry.names.first ?? ""
                return "  " + name + String(repeating: " ", count: max(1, 25 - name.count)) + entry.title
            }
            return ([section.rawValue] + lines).joined(separator: "\n")
        }.joined(separator: "\n\n")
    }

    /// Lines of at most `width` characters.
    static func wrap(_ text: String, indent: String) -> [String] {
        var lines: [String] = []
        var line = indent
        for word in text.split(whereSeparator: \.isWhitespace) {
            if line.count > indent.count, line.count + 1 + word.count > width {
                lines.append(line)
                line = indent
            }
            line += (line.count > indent.count ? " " : "") + word
        }
        return lines + [line]
    }
}

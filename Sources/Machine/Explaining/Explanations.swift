// SPDX-License-Identifier: Apache-2.0
//
// All that can be explained, from wherever it is written, and how it is found.

import Devices
import GuestInterfaces
import Tap
import Trace

public enum Explanations {
    /// In the order of the sections.
    public static let all: [Explanation] = {
        let everything = LguestExplanations.all + TrapExplanations.all + DeviceExplanations.all
        return Explanation.Section.allCases.flatMap { section in everything.filter { $0.section == section } }
    }()

    /// What `word` may mean: `LHCALL_SET_PTE`, `set_pte`, `14`, `0x1f`. Upper and lower case are the same, and
    /// numbers may be hexadecimal.
    public static func find(_ word: String) -> [Explanation] {
        if let numbered = findNumbered(word) { return numbered }
        let wanted = key(word)
        let exact = all.filter { $0.names.contains { key($0) == wanted } }
        if !exact.isEmpty { return exact }
        // A number in the other notation.
        let number = word.lowercased().hasPrefix("0x") ? UInt32(word.dropFirst(2), radix: 16) : UInt32(word)
        guard let number else { return [] }
        let forms = [String(number), "0x" + String(number, radix: 16)]
        return all.filter { $0.names.contains { forms.contains(key($0)) } }
    }

    /// `irq 3`, `vector 0x31`, `hypercall 14`: what a number is of, and the number.
    private static func findNumbered(_ text: String) -> [Explanation]? {
        let words = text.lowercased().split(separator: " ").map(String.init)
        guard words.count == 2,
            let number = words[1].hasPrefix("0x")
                ? UInt32(words[1].dropFirst(2), radix: 16) : UInt32(words[1])
        else { return nil }
        switch words[0] {
        case "irq": return number < 224 ? section(.trap, of: 32 + number) : []
        case "vector", "trap", "interrupt":
            let traps = section(.trap, of: number)
            return traps.isEmpty
                ? section(.hypercall, of: number).filter { $0.names[0].hasPrefix("int") } : traps
        case "hypercall", "call": return section(.hypercall, of: number)
        case "port": return find("0x" + String(number, radix: 16)).filter { $0.section == .register }
        default: return nil
        }
    }

    private static func section(_ section: Explanation.Section, of number: UInt32) -> [Explanation] {
        let forms = [String(number), "0x" + String(number, radix: 16)]
        return all.filter { $0.section == section && !$0.names.filter(forms.contains).isEmpty }
    }

    /// Names that `word` occurs in, for somebody who did not find what he looked for.
    public static func suggestions(_ word: String) -> [String] {
        let wanted = key(word)
        guard wanted.count >= 2 else { return [] }
        let hits = all.filter { explanation in
            explanation.names.contains { key($0).contains(wanted) } || key(explanation.title).contains(wanted)
        }
        return hits.prefix(8).compactMap(\.names.first)
    }

    private static func key(_ word: String) -> String {
        String(word.lowercased().map { $0 == "-" || $0 == " " ? "_" : $0 })
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Abbreviated long options, as getopt_long(3) allows them and the original lguest did: `--init=FILE` for
// `--initrd=FILE`, as long as only one option begins so. What meant one of the original's options still does
// (`--b=FILE`), although there are more options now that begin so.

import Support

enum Abbreviations {
    /// The long options of `boot`.
    static let boot = run + devices + ["initrd", "guest-decompress"]
    /// The long options of `boot debian`.
    static let debian = run + devices + ["memory", "flavour", "update", "disk", "create", "ssh-key"]
    /// The long options of `builtin`.
    static let builtin = run + ["memory"]

    private static let devices = ["block", "tunnet", "net", "share", "rng", "balloon"]

    private static let run = [
        "verbose", "log-level", "stats", "engine", "perf-map", "name", "console", "timeout", "no-reboot",
        "exit-with-guest-status", "username", "chroot", "no-sandbox", "gdb", "coredump", "help", "version",
        "trace",
        "trace-filter",
        "trace-output", "trace-moment", "color", "symbols", "report", "guest-interface",
    ]

    /// All options of the original.
    private static let original: Set = ["verbose", "tunnet", "block", "rng", "initrd", "username", "chroot"]

    /// `words` with each abbreviated option spelled out. A word that is no option, or is behind `--`, stays;
    /// so does an option that nobody knows, for the parser to complain about. Throws `.badInput` for a word
    /// that may mean several options.
    static func expand(_ words: [String], among options: [String]) throws(LguestError) -> [String] {
        var result: [String] = []
        for (index, word) in words.enumerated() {
            if word == "--" { return result + words[index...] }
            result.append(try withoutOptionalValue(try expand(word, among: options)))
        }
        return result
    }

    /// The parser has no options whose value may be left out: `--stats=json` is a flag of its own.
    private static func withoutOptionalValue(_ word: String) throws(LguestError) -> String {
        guard word.hasPrefix("--stats=") else { return word }
        switch word.dropFirst(8) {
        case "json": return "--stats-json"
        case "text": return "--stats"
        default:
            throw LguestError(
                .badInput, "the value '\(String(word.dropFirst(8)).asOneLine)' is invalid for '--stats'",
                hint: "text or json")
        }
    }

    private static func expand(_ word: String, among options: [String]) throws(LguestError) -> String {
        guard word.hasPrefix("--") else { return word }
        let name = word.dropFirst(2).prefix { $0 != "=" }
        guard !name.isEmpty, !options.contains(String(name)) else { return word }
        var matches = options.filter { $0.hasPrefix(name) }
        let known = matches.filter(original.contains)
        if known.count == 1 { matches = known }
        guard let match = matches.first else { return word }
        guard matches.count == 1 else {
            throw LguestError(
                .badInput, "option '--\(String(name).asOneLine)' is ambiguous",
                hint: matches.map { "--\($0)" }.joined(separator: ", "))
        }
        return "--" + match + word.dropFirst(2 + name.count)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The list of subcommands, and the rule that makes `lguest 64m vmlinux` work as in the original lguest.

import ArgumentParser
import Support

/// `lguest` itself. A new subcommand is a file of its own and one entry in the list here.
struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lguest",
        abstract: "Runs a Linux virtual machine as an ordinary program.",
        usage: """
            lguest [options] MEM KERNEL [kernel-args ...]
            lguest boot debian [options] [kernel-args ...]
            lguest exec [options] -- COMMAND [args ...]
            lguest builtin [options] [args ...]
            lguest inspect FILE [--json]
            lguest explain [NAME ...]
            lguest report TRACE -o FILE.html
            lguest image create OUT.img --size SIZE [--from-tar FILE | --from-dir DIR]
            lguest doctor [--json]
            """,
        discussion: """
            MEM is the guest's memory: 64m, 1g, or a number of MiB. KERNEL is a vmlinux or bzImage of a \
            32-bit Linux built with CONFIG_LGUEST_GUEST=y. All other words go to the kernel; options \
            may stand anywhere. 'lguest boot --help' lists the options.

            lguest 64m vmlinux --initrd=initrd.img console=hvc0
            """,
        version: Version.text,
        subcommands: [
            BootCommand.self, DebianCommand.self, ExecCommand.self, ImagesCommand.self, BuiltinCommand.self,
            PsCommand.self, MonitorSubcommand.self, InspectCommand.self, ImageCommand.self,
            ExplainCommand.self, ReportCommand.self, DoctorCommand.self,
        ])

    /// For somebody who types only `lguest`.
    static let shortUsage = """
        usage: lguest [options] MEM KERNEL [kernel-args ...]
               lguest builtin [args ...]      try the guest that comes with lguest
               lguest --help
        """

    /// Parses `words` (without the program's name) into the command to run. Throws the parser's errors, among
    /// which are requests for help.
    static func command(for words: [String]) throws -> any ParsableCommand {
        try parseAsRoot(withFullNames(withSubcommand(words)))
    }

    /// Spells abbreviated options out where a guest is run.
    private static func withFullNames(_ words: [String]) throws(LguestError) -> [String] {
        switch words.first {
        case "boot": try Abbreviations.expand(words, among: Abbreviations.boot)
        case DebianCommand.name: try Abbreviations.expand(words, among: Abbreviations.debian)
        case "builtin", "demo": try Abbreviations.expand(words, among: Abbreviations.builtin)
        default: words
        }
    }

    /// A subcommand is recognised only as the very first word, so that no file name, option value or
    /// kernel argument is ever taken for one. All else is the original's command line: `boot`.
    static func withSubcommand(_ words: [String]) -> [String] {
        guard let first = words.first else { return words }
        if first == "boot", words.count > 1, DebianCommand.isName(words[1]) {
            return [DebianCommand.name] + words.dropFirst()
        }
        let isOwn = ownWords.contains(first) || first == "--experimental-dump-help"
        return isOwn ? words : ["boot"] + words
    }

    private static let ownWords: Set<String> = {
        var words: Set = ["help", "-h", "--help", "--version"]
        for command in configuration.subcommands {
            words.formUnion([command._commandName])
            words.formUnion(command.configuration.aliases)
        }
        return words
    }()
}

enum Version {
    /// Shown by `lguest --version`.
    static let text = "lguest 0.1.0"
}

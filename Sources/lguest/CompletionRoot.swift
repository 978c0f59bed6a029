// SPDX-License-Identifier: Apache-2.0
//
// The command line as shells complete it. The parser's completions know nothing of a subcommand that may be left
// out, so for them `boot` is what `lguest` itself is.

import ArgumentParser
import Support

struct CompletionRoot: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lguest", subcommands: RootCommand.configuration.subcommands)

    @OptionGroup var boot: BootCommand

    private static let option = "--generate-completion-script"

    /// The script that `words` ask for; nil when they ask for none. Throws `.badInput` for a shell that is not
    /// known.
    static func script(for words: [String]) throws(LguestError) -> String? {
        guard let first = words.first, first.hasPrefix(option) else { return nil }
        let name = first == option ? words.dropFirst().first : String(first.dropFirst(option.count + 1))
        guard let shell = (name ?? ProcessFacts.shell).flatMap(CompletionShell.init(rawValue:)) else {
            throw LguestError(
                .badInput, "no completions for the shell '\((name ?? "").asOneLine)'",
                hint: CompletionShell.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return completionScript(for: shell)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Where the `lguest` command begins and ends: words in, exit status out. What each subcommand does is in
// the file of its name.

import ArgumentParser
import Support

@main
enum Main {
    static func main() {
        ProcessFacts.unblockEndingSignals()
        ProcessFacts.keepInheritedDescriptorsToOurselves()
        finish(run(Array(CommandLine.arguments.dropFirst())))
    }

    /// Exit statuses: 0 done, 1 the guest was ended because of what it did, 2 bad input or a host that
    /// denies something; after three Ctrl-C death by SIGINT, as a shell expects it.
    static func run(_ words: [String]) -> Ending {
        guard !words.isEmpty else {
            StandardError.print(RootCommand.shortUsage)
            return .exit(LguestError.Code.badInput.exitStatus)
        }
        do {
            if let script = try CompletionRoot.script(for: words) {
                print(script)
                return .exit(0)
            }
            var command = try RootCommand.command(for: words)
            try command.run()
            return .exit(0)
        } catch let ending as Ending {
            return ending
        } catch {
            return report(error)
        }
    }

    /// Says what went wrong, in one line; help and version texts, which the parser hands over as
    /// errors too, go to standard output.
    private static func report(_ error: any Error) -> Ending {
        if let error = error as? LguestError {
            StandardError.print("lguest: \(error.description)")
            return .exit(error.code.exitStatus)
        }
        if RootCommand.exitCode(for: error) == .success {
            print(RootCommand.fullMessage(for: error))
            return .exit(0)
        }
        let problem = ParserMessage.oneLine(RootCommand.message(for: error))
        StandardError.print("lguest: \(problem) (see 'lguest --help')")
        return .exit(LguestError.Code.badInput.exitStatus)
    }
}

/// The parser's messages in our form.
enum ParserMessage {
    /// The first line, without "Error: " and full stop, beginning in lower case as all our messages do.
    static func oneLine(_ message: String) -> String {
        var line = String(message.prefix { !$0.isNewline })
        if line.hasPrefix("Error: ") { line.removeFirst(7) }
        if line.hasSuffix(".") { line.removeLast() }
        return (line.prefix(1).lowercased() + line.dropFirst()).asOneLine
    }
}

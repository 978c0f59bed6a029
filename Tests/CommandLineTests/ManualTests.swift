// SPDX-License-Identifier: Apache-2.0
//
// What the manual page and the shells' completions are made from.

import Foundation
import Support
import Testing

@testable import lguest

@Suite("Manual and completions")
struct ManualTests {
    @Test("completions know the options of boot without the word", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) throws {
        for words in [["--generate-completion-script", shell], ["--generate-completion-script=\(shell)"]] {
            let script = try #require(try CompletionRoot.script(for: words))
            for word in ["initrd", "no-sandbox", "doctor", "from-tar"] {
                #expect(script.contains(word), "\(shell) \(word)")
            }
        }
        #expect(try CompletionRoot.script(for: ["64m", "k", "--generate-completion-script"]) == nil)
    }

    @Test("a shell that is not known is refused")
    func unknownShell() {
        let error = #expect(throws: LguestError.self) {
            try CompletionRoot.script(for: ["--generate-completion-script", "csh\n"])
        }
        #expect(error?.description.contains("'csh?'") == true)
    }

    @Test(
        "bash completes an option of boot",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/bin/bash")))
    func bash() throws {
        let script = try #require(try CompletionRoot.script(for: ["--generate-completion-script", "bash"]))
        let words = """
            \(script)
            COMP_WORDS=(lguest --init); COMP_CWORD=1; COMP_LINE='lguest --init'; COMP_POINT=13; COMP_TYPE=9
            _lguest lguest --init lguest; printf '%s\\n' "${COMPREPLY[@]}"
            """
        let done = try Program.run(["-c", words], program: "/bin/bash")
        #expect(done.output.contains("--initrd"), "\(done.output) \(done.errors)")
    }

    @Test(
        "the program describes itself for the manual",
        .enabled(if: Program.path != nil, "run `make build` first"))
    func description() throws {
        let done = try Program.run(["--experimental-dump-help"])
        let tree = try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any]
        let command = try #require(tree?["command"] as? [String: Any])
        let names = (command["subcommands"] as? [[String: Any]])?.compactMap { $0["commandName"] as? String }
        #expect(Set(["boot", "builtin", "inspect", "image", "doctor"]).isSubset(of: Set(names ?? [])))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The options that say how a guest is run: their forms, and what they become.

import ArgumentParser
import LguestKit
import Support
import Testing

@testable import lguest

@Suite("Run options")
struct RunOptionTests {
    private func boot(_ words: [String]) throws -> BootCommand {
        try #require(try RootCommand.command(for: words + ["64m", "k"]) as? BootCommand)
    }

    private func complaint(_ words: [String]) -> String {
        do {
            let command = try RootCommand.command(for: words + ["64m", "k"])
            if let boot = command as? BootCommand { _ = try (boot.machine(), boot.options.session()) }
            return ""
        } catch let error as LguestError {
            return error.description
        } catch {
            return ParserMessage.oneLine(RootCommand.message(for: error))
        }
    }

    @Test(
        "abbreviated long options, as getopt_long takes them",
        arguments: [
            (["--verb"], ["--verbose"]), (["--init=x"], ["--initrd=x"]), (["--bl", "f"], ["--block", "f"]),
            (["--tun=1.2.3.4"], ["--tunnet=1.2.3.4"]), (["--use=nobody"], ["--username=nobody"]),
            (["--ch=/"], ["--chroot=/"]), (["--no-r"], ["--no-reboot"]), (["--net=user"], ["--net=user"]),
            (["--", "--verb"], ["--", "--verb"]), (["--zzz"], ["--zzz"]), (["-v"], ["-v"]),
            (["--rn", "--", "--rn"], ["--rng", "--", "--rn"]),
            // One letter was enough for each of the original's, and still is.
            (["--v", "--r", "--b=f", "--i=x"], ["--verbose", "--rng", "--block=f", "--initrd=x"]),
            (["--t=1.2.3.4", "--u=x", "--c=/"], ["--tunnet=1.2.3.4", "--username=x", "--chroot=/"]),
            (["--ver"], ["--verbose"]), (["--vers"], ["--version"]),
        ])
    func abbreviations(words: [String], expected: [String]) throws {
        #expect(try Abbreviations.expand(words, among: Abbreviations.boot) == expected)
    }

    @Test("--stats has a value that may be left out")
    func statistics() throws {
        let plain = try boot(["--stats"]).machine()
        #expect(plain.showStatistics && plain.statisticsFormat == .text)
        let json = try boot(["--stat=json"]).machine()
        #expect(json.showStatistics && json.statisticsFormat == .json)
        #expect(try boot([]).machine().showStatistics == false)
        #expect(complaint(["--stats=xml"]).hasPrefix("the value 'xml' is invalid for '--stats'"))
    }

    @Test("the translator is what people run")
    func engine() throws {
        #expect(try boot([]).machine().engine == .translator)
        #expect(try boot(["--engine=lockstep"]).machine().engine == .lockstep)
    }

    @Test("an ambiguous abbreviation names what it may mean", arguments: ["--n=x", "--tra", "--s"])
    func ambiguous(word: String) {
        let line = complaint([word])
        #expect(line.contains("is ambiguous (--"), "\(line)")
    }

    @Test("the list of long options is that of the parser")
    func listIsComplete() {
        for (text, list) in [
            (BootCommand.helpMessage(columns: 400), Abbreviations.boot),
            (BuiltinCommand.helpMessage(columns: 400), Abbreviations.builtin),
            (DebianCommand.helpMessage(columns: 400), Abbreviations.debian),
        ] {
            var found: Set = ["help", "version"]
            for line in text.split(separator: "\n") where line.hasPrefix("  -") {
                for word in line.split(separator: " ").prefix(2) where word.hasPrefix("--") {
                    found.insert(String(word.dropFirst(2).prefix { $0 != "," }))
                }
            }
            #expect(found == Set(list))
        }
    }

    @Test("what the options become")
    func session() throws {
        let plain = try boot([]).options.session()
        #expect(plain.console == .stdio && plain.logLevel == .warning && plain.restarts)
        #expect(plain.name == nil && plain.timeoutSeconds == nil)
        #expect(plain.username == nil && plain.chroot == nil)
        let full = try boot([
            "--name=web", "--console=unix:/tmp/s", "--log-level=debug", "--timeout=1.5", "--no-reboot",
            "--exit-with-guest-status", "--username=nobody", "--chroot=/var/empty",
        ])
        let session = try full.options.session()
        #expect(session.name == "web" && session.console == .unix("/tmp/s"))
        #expect(session.logLevel == .debug && session.timeoutSeconds == 1.5 && !session.restarts)
        #expect(session.username == "nobody" && session.chroot == "/var/empty")
        #expect(try full.machine().hasStatusPort)
    }

    @Test(
        "places for a console",
        arguments: [
            ("stdio", .stdio), ("pty", .pty), ("file:/a:b", .file("/a:b")), ("unix:s", .unix("s")),
            ("file:", nil), ("unix", nil), ("pty:", nil), ("tty", nil), ("", nil),
            ("unix:" + String(repeating: "x", count: 200), nil),
        ] as [(String, ConsoleTarget?)])
    func consoles(text: String, expected: ConsoleTarget?) {
        #expect((try? ConsoleTarget(parsing: text)) == expected)
    }

    @Test(
        "complaints",
        arguments: [
            (["--console=tty"], "'tty' is no place for a console (stdio, pty, file:PATH or unix:PATH)"),
            (["--timeout=0"], "a timeout of 0.0 s makes no sense"),
            (["--timeout=-1"], "a timeout of -1.0 s makes no sense"),
            (["--timeout=nan"], "a timeout of nan s makes no sense"),
            (["--timeout=soon"], "the value 'soon' is invalid for '--timeout <SECONDS>'"),
            (["--name=" + String(repeating: "x", count: 65)], "the guest's name must have 1 to 64 bytes"),
            (["--log-level=loud"], "the value 'loud' is invalid for '--log-level"),
        ])
    func complaints(words: [String], expected: String) {
        let line = complaint(words)
        #expect(line.hasPrefix(expected), "\(line)")
    }

    @Test("help fits on a screen")
    func help() {
        #expect(
            RootCommand.helpMessage(columns: 80).split(separator: "\n", omittingEmptySubsequences: false)
                .count <= 40)
    }
}

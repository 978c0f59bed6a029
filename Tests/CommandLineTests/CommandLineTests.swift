// SPDX-License-Identifier: Apache-2.0

import LguestKit
import Support
import Testing

@testable import lguest

@Suite("Command line")
struct CommandLineTests {
    private func boot(_ words: String...) throws -> BootCommand {
        try #require(try RootCommand.command(for: words) as? BootCommand)
    }

    /// The line on standard error for words that do not parse.
    private func complaint(_ words: [String]) -> String {
        do {
            let command = try RootCommand.command(for: words)
            if let boot = command as? BootCommand { _ = try boot.machine() }
            if let builtin = command as? BuiltinCommand { _ = try builtin.machine(guest: "guest") }
            return ""
        } catch let error as LguestError {
            return error.description
        } catch {
            return ParserMessage.oneLine(RootCommand.message(for: error))
        }
    }

    @Test("the original's command line")
    func original() throws {
        let machine = try boot("64m", "vmlinux", "--initrd=initrd.img", "console=hvc0", "root=/dev/vda")
            .machine()
        #expect(machine.memoryBytes == 64 << 20)
        #expect(machine.kernelPath == "vmlinux")
        #expect(machine.initrdPath == "initrd.img")
        #expect(machine.commandLine == "console=hvc0 root=/dev/vda")
        #expect(!machine.verbose && !machine.showStatistics)
    }

    @Test(
        "options may stand anywhere",
        arguments: [
            ["--initrd=i", "-v", "--stats", "64", "k", "a", "b"],
            ["--initrd", "i", "64", "-v", "k", "a", "--stats", "b"],
            ["64", "k", "a", "b", "--verbose", "--stats", "--initrd", "i"],
            ["64", "--engine=interpreter", "k", "--stats", "a", "--initrd=i", "-v", "b"],
            ["boot", "--engine", "interpreter", "64", "k", "a", "b", "--initrd=i", "-v", "--stats"],
            ["--initrd=builtin", "--initrd=i", "--stats", "64", "k", "-v", "--", "a", "b"],
        ])
    func options(words: [String]) throws {
        let command = try #require(try RootCommand.command(for: words) as? BootCommand)
        let machine = try command.machine()
        #expect(machine.memoryBytes == 64 << 20 && machine.kernelPath == "k")
        #expect(machine.initrdPath == "i" && machine.commandLine == "a b")
        #expect(machine.verbose && machine.showStatistics)
    }

    @Test("names of subcommands are ordinary words elsewhere")
    func subcommandNames() throws {
        #expect(try boot("64m", "builtin", "boot", "demo", "help").machine().commandLine == "boot demo help")
        #expect(try boot("--initrd", "demo", "64m", "vmlinux").machine().initrdPath == "demo")
        #expect(try boot("boot", "64m", "boot").machine().kernelPath == "boot")
    }

    @Test("words behind -- go to the kernel as they are")
    func terminator() throws {
        #expect(try boot("64m", "k", "--", "--single", "-v").machine().commandLine == "--single -v")
    }

    @Test(
        "complaints are one line",
        arguments: [
            (["64m"], "missing expected argument '<KERNEL>'"),
            (["--stats"], "missing expected argument '<MEM>'"),
            (["--foo", "64m", "k"], "unknown option '--foo'"),
            (["64m", "k", "-x"], "unknown option '-x'"),
            (["64m", "k", "--initrd"], "missing value for '--initrd <FILE>'"),
            (["64m", "k", "--engine=jit"], "the value 'jit' is invalid for '--engine <NAME>'"),
            (["64q", "k"], "'64q' is not a memory size"),
            (["vmlinux", "64m"], "'vmlinux' is not a memory size"),
            (["4g", "k"], "4g is too much memory"),
            (["1", "k"], "1 is too little memory"),
            (["6\n4", "k"], "'6?4' is not a memory size"),
            (["--fo\no", "64m", "k"], "unknown option '--fo"),
            (["builtin", "--memory=x"], "'x' is not a memory size"),
        ])
    func complaints(words: [String], expected: String) {
        let line = complaint(words)
        #expect(line.hasPrefix(expected), "\(line)")
        #expect(!line.contains("\n"))
    }

    @Test("the built-in guest", arguments: ["builtin", "demo"])
    func builtin(name: String) throws {
        let command = try #require(
            try RootCommand.command(for: [name, "-m", "32m", "test", "--stats", "all"]) as? BuiltinCommand)
        let machine = try command.machine(guest: "/g")
        #expect(machine.memoryBytes == 32 << 20 && machine.kernelPath == "/g")
        #expect(machine.commandLine == "test all" && machine.showStatistics)
        let plain = try #require(try RootCommand.command(for: [name]) as? BuiltinCommand)
        #expect(try plain.machine(guest: "/g").memoryBytes == 64 << 20)
    }

    @Test("where the built-in guest is looked for")
    func builtinPlaces() throws {
        let find = { (named: String?, present: [String]) in
            try BuiltinGuest.find(
                named: named, executable: "/p/.build/x86/release/lguest", exists: present.contains)
        }
        #expect(try find("/mine", ["/mine", "guest.elf"]) == "/mine")
        #expect(try find("", ["guest.elf"]) == "guest.elf")
        #expect(
            try find(nil, ["guest.elf", "/p/Guests/build/builtin-guest"]) == "/p/Guests/build/builtin-guest")
        #expect(
            try find(nil, ["/p/.build/x86/share/lguest/builtin-guest", "/p/Guests/build/builtin-guest"])
                == "/p/.build/x86/share/lguest/builtin-guest")
        #expect(throws: LguestError.self) { _ = try find("/mine", ["guest.elf"]) }
        #expect(throws: LguestError.self) { _ = try find(nil, []) }
    }

    @Test(
        "help and version are no errors",
        arguments: [["--help"], ["-h"], ["help"], ["--version"], ["boot", "-h"]])
    func help(words: [String]) {
        do {
            var command = try RootCommand.command(for: words)
            try command.run()
            Issue.record("a help request ran")
        } catch {
            #expect(RootCommand.exitCode(for: error) == .success)
            #expect(RootCommand.fullMessage(for: error).contains("lguest"))
        }
    }

    @Test("statuses")
    func statuses() {
        #expect(Main.run([]) == .exit(2))
        #expect(Main.run(["64m"]) == .exit(2))
        #expect(Main.run(["--version"]) == .exit(0))
    }
}

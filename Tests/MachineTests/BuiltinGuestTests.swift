// SPDX-License-Identifier: Apache-2.0
//
// The built-in guest checks the whole ABI from the inside; here it is run and believed.

import LguestKit
import TestSupport
import Testing

@Suite("Built-in guest", .serialized, .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct BuiltinGuestTests {
    @Test(
        "conformance suite", arguments: [EngineChoice.interpreter, .translator],
        ["conformance", "conformance pae"])
    func conformance(engine: EngineChoice, words: String) throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path, commandLine: words, engine: engine)
        #expect(guest.run() == .powerOff)
        let lines = guest.text.split(separator: "\n")
        let failures = lines.filter { $0.hasPrefix("FAILED") }
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
        let summary = try #require(lines.last { $0.contains(" passed, ") })
        let passed = try #require(Int(summary.prefix { $0.isNumber }))
        #expect(passed > 300)
        #expect(summary.hasSuffix(" passed, 0 failed"))
    }

    @Test("memory from 16 MiB to 3 GiB", arguments: [16, 17, 256, 1024, 3072] as [UInt64])
    func memorySizes(mebibytes: UInt64) throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path, memory: mebibytes, commandLine: "run=mem")
        #expect(guest.run() == .powerOff)
        #expect(guest.text.contains("\(mebibytes) MiB"))
    }

    @Test("the interactive shell answers and halts")
    func shell() throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path)
        guest.script([("> ", "echo hello world\r"), ("> ", "halt\r")])
        #expect(guest.run() == .powerOff)
        #expect(guest.text.contains("\nhello world\n"))
    }

    @Test("a reboot asks to be started anew")
    func reboot() throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path, commandLine: "run=reboot")
        #expect(guest.run() == .restart)
    }

    @Test("a panic's message arrives")
    func panic() throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path, commandLine: "run=panic out of cheese")
        guard case .killed(let report) = guest.run() else {
            Issue.record("it goes on")
            return
        }
        #expect(report.hasPrefix("lguest: CRASH: out of cheese\n  stack, innermost first:\n"), "\(report)")
    }

    @Test(
        "a guest that cannot go on is reported with symbol, instruction and reason",
        arguments: [
            ("crash ud", ["invalid opcode", "ud2", "Crash.happen()"]),
            ("crash hypercall", ["bad hypercall 99", "cd 1f", "int $0x1f", "Crash.happen()"]),
            ("crash jump", ["page fault", "0xdead0000", "run_probe"]),
            ("crash stack", ["bad stack segment"]),
            ("crash triple", ["bad stack page"]),
        ] as [(String, [String])])
    func crash(command: String, parts: [String]) throws {
        try crash(command, parts + ["last branches, newest"], .interpreter)
        // Some of these guests have crossed no privilege level yet: then there is no list.
        // The caller of a wild jump is known from that list only.
        let report = try crash(command, parts.filter { $0 != "run_probe" }, .translator)
        #expect(!report.contains("last branches, newest"))
    }

    @discardableResult
    private func crash(_ command: String, _ parts: [String], _ engine: EngineChoice) throws -> String {
        let guest = try TestMachine(
            kernel: BuiltinGuestFile.path, commandLine: "run=\(command)", engine: engine)
        guard case .killed(let report) = guest.run() else {
            Issue.record("the guest was not stopped")
            return ""
        }
        for part in parts + ["eflags", "cs 0061", "instruction"] {
            #expect(report.contains(part), "\(part) is not in: \(report)")
        }
        return report
    }
}

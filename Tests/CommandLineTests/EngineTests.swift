// SPDX-License-Identifier: Apache-2.0
//
// Engines in lockstep over whole guests, and what can be seen of engines from outside: counters, names for perf.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite(
    "Engines from outside", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct EngineTests {
    private let guest = BuiltinGuestFile.path
    private static let linux = KernelInventory.vmlinux(4, 4...4, pae: false)

    @Test(
        "lockstep: the conformance suite of the built-in guest",
        arguments: ["conformance", "conformance pae"])
    func lockstepBuiltin(words: String) throws {
        let done = try Program.run([
            "--engine=lockstep", "64m", guest, words, "--stats=json", "--timeout=500",
        ])
        #expect(done.status == 0, "\(done.errors.suffix(3000))")
        // One check counts what arrives in a fifth of a second, which is too short for two engines.
        let failures = done.output.split(separator: "\n").filter {
            $0.hasPrefix("FAILED") && !$0.hasPrefix("FAILED interrupt/storm-arrives")
        }
        #expect(failures.isEmpty, "\(failures)")
        let passed = done.output.matches(of: /([0-9]+) passed, [01] failed/).first.flatMap {
            Int($0.output.1)
        }
        #expect(try #require(passed, "\(done.output.suffix(2000))") > 300)
        let counters = try members(done.errors)
        #expect(try #require(counters["blocks_compared"] as? Int) > 10_000)
    }

    @Test(
        "lockstep: Linux 4.4 to the shell",
        .enabled(if: linux != nil, "no vmlinux of Linux 4.4 without PAE in \(KernelInventory.folder)"),
        .enabled(if: Initramfs.busybox != nil, "no static i386 busybox in the cache"))
    func lockstepLinux() throws {
        let initrd = try #require(Initramfs.withScript("#!/bin/sh\necho SHELL $((6*7))\npoweroff -f\n"))
        try Program.withFolder { folder in
            let file = folder + "/initrd"
            try Data(initrd).write(to: URL(fileURLWithPath: file))
            let kernel = try #require(Self.linux).path
            let done = try Program.run([
                "--engine=lockstep", "64m", kernel, "--initrd=\(file)", "--timeout=1000", "--stats=json",
                "console=hvc0", "quiet",
            ])
            #expect(done.status == 0, "\(done.errors.suffix(3000))")
            #expect(done.output.contains("SHELL 42"), "\(done.output.suffix(2000))")
            #expect(try #require(members(done.errors)["blocks_compared"] as? Int) > 1_000_000)
        }
    }

    @Test("--stats at the end: every counter that is due, as text and as JSON")
    func statistics() throws {
        let text = try Program.run(["64m", guest, "--stats", "run=halt"]).errors
        for name in [
            "guest instructions", "host CPU seconds", "blocks built", "hypercalls: LHCALL_SHUTDOWN",
            "busy seconds",
        ] {
            #expect(text.contains("\n  \(name) "), "\(name) is not in: \(text)")
        }
        for engine in ["translator", "interpreter"] {
            let words = ["64m", guest, "--stats=json", "--engine=\(engine)", "run=timer 1; spin 1"]
            let counters = try members(try Program.run(words).errors)
            #expect(try #require(counters["guest_instructions"] as? Int) > 1_000_000)
            #expect(try #require(counters["page_table_walks"] as? Int) > 0)
            #expect(try #require(counters["interrupts"] as? Int) > 0)
            let calls = try #require(counters["hypercalls"] as? [String: Int])
            #expect(calls["LHCALL_SHUTDOWN"] == 1)
            // A second of a busy loop: nearly all of it where the guest's code runs.
            let total = try #require(counters["host_cpu_seconds"] as? Double)
            let parts = ["in_generated_code", "in_the_engine", "in_the_interface", "in_devices"].map {
                counters["host_cpu_\($0)_seconds"] as? Double ?? 0
            }
            #expect(abs(parts.reduce(0, +) - total) < 0.1 * total, "\(counters)")
            #expect(parts[engine == "translator" ? 0 : 1] > 0.5 * total, "\(counters)")
        }
    }

    @Test(
        "SIGUSR1 prints the counters while the guest runs, and the guest goes on", arguments: [false, true])
    func signal(halted: Bool) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Program.path))
        process.arguments = ["64m", guest, "--timeout=60"] + (halted ? [] : ["run=spin 2"])
        let (output, errors, keys) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = keys
        try process.run()
        var seen = Data()
        while seen.range(of: Data((halted ? "> " : "builtin guest").utf8)) == nil {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            seen += more
        }
        kill(process.processIdentifier, SIGUSR1)
        var report = Data()
        while report.range(of: Data("interrupts".utf8)) == nil {
            let more = errors.fileHandleForReading.availableData
            if more.isEmpty { break }
            report += more
        }
        let text = String(decoding: report, as: UTF8.self)
        #expect(text.hasPrefix("lguest: statistics\n  guest instructions "), "\(text)")
        keys.fileHandleForWriting.write(Data("halt\r".utf8))
        try keys.fileHandleForWriting.close()
        _ = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
    }

    @Test("--perf-map names blocks by guest symbol, and the fixed pieces")
    func perfMap() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Program.path))
        process.arguments = ["64m", guest, "--perf-map", "conformance"]
        process.standardOutput = Pipe()
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        _ = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let path = "/tmp/perf-\(process.processIdentifier).map"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        var names: Set<String> = []
        for line in lines {
            let parts = line.split(separator: " ", maxSplits: 2)
            try #require(parts.count == 3, "\(line)")
            #expect(UInt64(parts[0], radix: 16) != nil)
            #expect(try #require(UInt64(parts[1], radix: 16)) > 0)
            names.insert(String(parts[2]))
        }
        #expect(names.contains("lguest: dispatch"))
        #expect(names.contains { $0.hasPrefix("user@") })
        #expect(names.contains { !$0.contains("@") && $0.contains("+0x") })
        let refused = try Program.run(["64m", guest, "--perf-map", "--engine=interpreter", "run=halt"])
        #expect(refused.status == 2 && refused.errors.contains("only the translator"), "\(refused)")
    }

    private func members(_ text: String) throws -> [String: Any] {
        let start = try #require(text.firstIndex(of: "{"), "\(text)")
        let object = try JSONSerialization.jsonObject(with: Data(text[start...].utf8))
        return try #require(object as? [String: Any])
    }
}

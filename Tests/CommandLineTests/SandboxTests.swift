// SPDX-License-Identifier: Apache-2.0
//
// The sandbox: what is not on its list is refused, in every thread, and guests of all kinds run in it, also under
// the filter of a container.

import Foundation
import LguestKit
import TestSupport
import Testing

@testable import lguest

/// Programs that the tests' build makes beside the tests.
enum Helper {
    static func path(_ name: String) -> String? {
        // Tests/CommandLineTests/SandboxTests.swift: the package is two folders up.
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let arguments = ProcessInfo.processInfo.arguments
        let bundle = arguments.firstIndex(of: "--test-bundle-path").map { arguments[$0 + 1] }
        let folders: [String?] = [
            bundle.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path },
            package.appendingPathComponent(".build/tests/release").path,
        ]
        return folders.compactMap { $0.map { "\($0)/\(name)" } }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }
}

@Suite("Sandbox list", .serialized)
struct SandboxListTests {
    /// What each attempt of sandbox-probe gives, by thread and name.
    private func attempts(_ words: [String]) throws -> (results: [String: String], complaints: String) {
        let probe = try #require(Helper.path("sandbox-probe"))
        let done = try Program.run(words, program: probe)
        #expect(done.status == 0, "\(done)")
        let pairs = done.output.split(separator: "\n").map { line in
            let parts = line.split(separator: ":", maxSplits: 2).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            return ("\(parts[0]) \(parts[1])", parts[2])
        }
        return (Dictionary(pairs) { first, _ in first }, done.errors)
    }

    private static let allowed = [
        "getpid", "mmap rw", "mmap rx", "mprotect r", "mprotect rw", "kill ourselves with 0",
    ]
    private static let refused = [
        "mmap rwx", "mmap wx", "mprotect rx", "openat passwd", "open", "unlink", "socket unix",
        "socket netlink", "execve", "fork", "clone process", "unshare", "ptrace", "process_vm_readv",
        "userfaultfd", "io_uring_setup", "bpf", "kill init", "setuid", "mount", "TIOCSTI", "prctl dumpable",
        "seccomp",
    ]

    @Test("refused and allowed calls, in the thread itself, in an earlier one and in a later one")
    func calls() throws {
        let (results, complaints) = try attempts([])
        for thread in ["first", "earlier", "later"] {
            for name in Self.allowed { #expect(results["\(thread) \(name)"] == "ok", "\(thread) \(name)") }
            for name in Self.refused + ["socket inet", "openat resolv.conf"] {
                #expect(results["\(thread) \(name)"] == "errno 1", "\(thread) \(name)")
            }
            // So that the C library takes clone, whose flags can be looked at.
            #expect(results["\(thread) clone3"] == "errno 38")
        }
        let line = "lguest: the sandbox refused the system call execve (59); --no-sandbox would allow it\n"
        #expect(complaints.components(separatedBy: line).count == 2, "\(complaints)")
    }

    @Test("user networking adds sockets of the internet, and the file that names the name server")
    func internet() throws {
        let (results, _) = try attempts(["internet"])
        let hasFile = FileManager.default.isReadableFile(atPath: "/etc/resolv.conf")
        for thread in ["first", "earlier", "later"] {
            #expect(results["\(thread) socket inet"] == "ok")
            #expect(results["\(thread) openat resolv.conf"] == (hasFile ? "ok" : "errno 2"))
            #expect(results["\(thread) newfstatat resolv.conf"] == (hasFile ? "ok" : "errno 2"))
            for name in Self.refused { #expect(results["\(thread) \(name)"] == "errno 1", "\(name)") }
        }
    }
}

@Suite(
    "Sandboxed runs", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct SandboxedRunTests {
    private let guest = BuiltinGuestFile.path

    /// Lines of /proc/PID/task/*/status that begin with `field`, for the program that runs with these words.
    private func status(_ words: [String], _ fields: [String]) throws -> [[String]] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Program.path))
        process.arguments = words
        let (output, keys) = (Pipe(), Pipe())
        (process.standardOutput, process.standardInput) = (output, keys)
        try process.run()
        defer { process.terminate() }
        var text = ""
        while !text.contains("builtin guest") {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            text += String(decoding: more, as: UTF8.self)
        }
        let folder = "/proc/\(process.processIdentifier)/task"
        return try FileManager.default.contentsOfDirectory(atPath: folder).map { task in
            let lines = try String(contentsOfFile: "\(folder)/\(task)/status", encoding: .utf8)
            return lines.split(separator: "\n").map(String.init).filter { line in
                fields.contains { line.hasPrefix($0 + ":") }
            }
        }
    }

    @Test("every thread has a filter, no new privileges and no capabilities; --no-sandbox has not")
    func processStatus() throws {
        let fields = ["Seccomp", "NoNewPrivs", "CapEff", "CapPrm", "CapInh", "CapAmb"]
        try Program.withFolder { folder in
            let image = folder + "/disk"
            try Data(count: 1 << 20).write(to: URL(fileURLWithPath: image))
            let words = ["64m", guest, "--net=user", "--block=\(image)", "--rng", "run=spin 60"]
            let tasks = try status(words, fields)
            #expect(!tasks.isEmpty)
            for lines in tasks {
                #expect(lines.contains("Seccomp:\t2") && lines.contains("NoNewPrivs:\t1"), "\(lines)")
                for capability in lines where capability.hasPrefix("Cap") {
                    #expect(capability.hasSuffix("\t0000000000000000"), "\(capability)")
                }
            }
        }
        let outside = try status(
            ["64m", guest, "--no-sandbox", "--log-level=error", "run=spin 60"], ["NoNewPrivs"])
        #expect(outside.first == ["NoNewPrivs:\t0"])
    }

    @Test("--no-sandbox is said aloud")
    func warning() throws {
        let done = try Program.run(["64m", guest, "--no-sandbox", "run=halt"])
        #expect(done.status == 0 && done.errors.hasPrefix("lguest: warning: without the sandbox"), "\(done)")
    }

    @Test("descriptors that lguest was given and does not need are closed")
    func descriptors() throws {
        let program = try #require(Program.path)
        let words = "exec \(program) 64m \(guest) 'run=spin 60' 7</etc/passwd 9>/dev/null"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", words]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        defer { process.terminate() }
        var text = ""
        while !text.contains("builtin guest") {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            text += String(decoding: more, as: UTF8.self)
        }
        let folder = "/proc/\(process.processIdentifier)/fd"
        let open = try FileManager.default.contentsOfDirectory(atPath: folder).map { name in
            try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")
        }
        #expect(!open.contains("/etc/passwd"), "\(open)")
    }

    @Test(
        "restarts, engines and devices in the sandbox say nothing of refused calls",
        arguments: ["interpreter", "translator", "lockstep"])
    func restart(engine: String) throws {
        let banner = "lguest builtin guest"
        try Program.withFolder { folder in
            let image = folder + "/disk"
            try Data(count: 1 << 20).write(to: URL(fileURLWithPath: image))
            let done = try Program.run(
                [
                    "64m", guest, "--engine=\(engine)", "--block=\(image),overlay", "--net=user", "--rng",
                    "--balloon=8m", "--timeout=120",
                ], steps: [(banner, "reboot\r"), (banner, "halt\r")])
            #expect(done.status == 0 && done.errors.isEmpty, "\(done)")
        }
    }

    @Test("a socket's file is gone when lguest was killed")
    func killed() throws {
        try Program.withFolder { folder in
            let socket = folder + "/console"
            let process = Process()
            process.executableURL = URL(fileURLWithPath: try #require(Program.path))
            process.arguments = ["64m", guest, "--console=unix:\(socket)", "run=spin 60"]
            try process.run()
            let manager = FileManager.default
            try waitUntil { manager.fileExists(atPath: socket) }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            try waitUntil { !manager.fileExists(atPath: socket) }
        }
    }

    /// Looks again and again; gives up after a minute.
    private func waitUntil(_ condition: () -> Bool) throws {
        for _ in 0..<6000 where !condition() { usleep(10_000) }
        #expect(condition())
    }
}

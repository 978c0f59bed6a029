// SPDX-License-Identifier: Apache-2.0
//
// The program itself: what it prints, where, and with which status it ends.

import Foundation
import TestSupport
import Testing

/// What a run of the program left behind.
private struct Finished {
    let status: Int32
    let signal: Bool
    let output: String
    let errors: String
    /// Complete lines on standard error.
    var errorLines: [Substring] { errors.split(separator: "\n") }
}

private let binary: String? = {
    let named = ProcessInfo.processInfo.environment["LGUEST_BINARY"] ?? ".build/release/lguest"
    return FileManager.default.isExecutableFile(atPath: named) ? named : nil
}()

@Suite(
    "The program", .serialized, .enabled(if: binary != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct ProcessTests {
    private func run(_ words: [String], input: String = "") throws -> Finished {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(binary))
        process.arguments = words
        let output = Pipe()
        let errors = Pipe()
        let keys = Pipe()
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = keys
        try process.run()
        keys.fileHandleForWriting.write(Data(input.utf8))
        try keys.fileHandleForWriting.close()
        // Reports are shorter than a pipe is deep, so reading one after the other cannot block.
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaints = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Finished(
            status: process.terminationStatus, signal: process.terminationReason == .uncaughtSignal,
            output: String(decoding: text, as: UTF8.self), errors: String(decoding: complaints, as: UTF8.self)
        )
    }

    /// A file with these contents, gone after the test.
    private func withFile(_ bytes: Data, _ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try bytes.write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func expectRefusal(_ words: [String], _ part: String) throws {
        let done = try run(words)
        #expect(done.status == 2 && !done.signal, "\(words): \(done.status) \(done.errors)")
        #expect(done.errorLines.count == 1, "\(done.errors)")
        #expect(done.errors.hasPrefix("lguest: "))
        #expect(done.errors.contains(part), "\(done.errors) does not contain \(part)")
        #expect(done.output.isEmpty)
    }

    @Test("bad input: one line on standard error and status 2")
    func badInput() throws {
        let guest = BuiltinGuestFile.path
        try expectRefusal(["64m", "/no/such/file"], "/no/such/file")
        try expectRefusal(["64m", "/etc/passwd"], "not a kernel")
        try expectRefusal(["64m", "/"], "/")
        try expectRefusal(["64m", try #require(binary)], "64-bit")
        try expectRefusal(["64m", guest, "--initrd=/no/such/initrd"], "/no/such/initrd")
        try expectRefusal(["64m", guest, "--no-such-option"], "no-such-option")
        for size in ["x", "0", "15m", "4g", "99999999999999999999", "64q", "1.5g", "m", ""] {
            try expectRefusal([size, guest], size.isEmpty ? "memory" : size)
        }
        let image = try #require(FileManager.default.contents(atPath: guest))
        for length in [3, 52, 60, 200, 5000, image.count / 2] {
            try withFile(image.prefix(length)) { path in
                try expectRefusal(["64m", path], path)
            }
        }
        try withFile(Data(count: 100 << 20)) { path in
            try expectRefusal(["64m", guest, "--initrd=\(path)"], "initrd")
        }
        var hostile = image
        hostile.replaceSubrange(28..<32, with: [0xF0, 0xFF, 0xFF, 0xFF])  // e_phoff
        try withFile(hostile) { try expectRefusal(["64m", $0], $0) }
    }

    @Test("a kernel of another kind says which option it lacks")
    func noSupport() throws {
        // A plain i386 ELF program is all that is needed: no lguest entry in it.
        var image = try #require(FileManager.default.contents(atPath: BuiltinGuestFile.path))
        for pattern in ["lguest_entry", "lguest_data", "lguest_init"] {
            while let found = image.range(of: Data(pattern.utf8)) {
                image.replaceSubrange(found, with: Data(pattern.uppercased().utf8))
            }
        }
        for stub: [UInt8] in [[0xCD, 0x1F], [0x0F, 0x01, 0xC1]] {
            while let found = image.range(of: Data(stub)) {
                image.replaceSubrange(found, with: Data(repeating: 0x90, count: stub.count))
            }
        }
        try withFile(image) {
            try expectRefusal(["64m", "--guest-interface=lguest", $0], "CONFIG_LGUEST_GUEST")
        }
    }

    @Test("no arguments: usage and status 2")
    func usage() throws {
        let done = try run([])
        #expect(done.status == 2)
        #expect(done.errors.contains("Usage") || done.errors.contains("usage"))
    }

    @Test("power-off ends with 0, keys come from a pipe")
    func powerOff() throws {
        let done = try run(["64m", BuiltinGuestFile.path], input: "echo from a pipe\rhalt\r")
        #expect(done.status == 0 && !done.signal)
        #expect(done.output.replacingOccurrences(of: "\r", with: "").contains("\nfrom a pipe\n"))
        #expect(done.errors.isEmpty, "\(done.errors)")
    }

    @Test("a panic and a crash end with 1 and say why on standard error")
    func crash() throws {
        let panic = try run(["64m", BuiltinGuestFile.path, "run=panic oh no"])
        #expect(panic.status == 1)
        #expect(panic.errors.hasPrefix("lguest: CRASH: oh no\n  stack, innermost first:\n"))
        let crash = try run(["64m", BuiltinGuestFile.path, "run=crash ud"])
        #expect(crash.status == 1)
        #expect(crash.errors.hasPrefix("lguest: the guest was stopped: "))
        #expect(crash.errors.contains("Crash.happen()"))
    }

    @Test("SIGTERM ends a running guest at once")
    func terminate() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(binary))
        process.arguments = ["64m", BuiltinGuestFile.path, "run=spin 60"]
        process.standardOutput = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        Thread.sleep(forTimeInterval: 0.3)
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGTERM)
    }
}

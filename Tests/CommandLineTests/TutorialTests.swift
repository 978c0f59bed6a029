// SPDX-License-Identifier: Apache-2.0
//
// Every command of the tutorial is run, as it stands there, and must print what the tutorial shows. `…` in a line
// stands for anything within it; a line that is only `…` for any number of lines.

import Foundation
import TestSupport
import Testing

/// The transcripts of the tutorial.
private enum Tutorial {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Sources/LguestKit/Documentation.docc")

    struct Exchange {
        var command: String
        var shown: [String]
    }

    static func transcript(_ name: String) throws -> [Exchange] {
        let text = try String(contentsOf: folder.appendingPathComponent("Resources/\(name)"), encoding: .utf8)
        var exchanges: [Exchange] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("$ ") {
                exchanges.append(Exchange(command: String(line.dropFirst(2)), shown: []))
            } else if !exchanges.isEmpty {
                exchanges[exchanges.count - 1].shown.append(String(line))
            }
        }
        return exchanges
    }

    /// The transcripts that the tutorial's text shows, in its order.
    static var names: [String] {
        get throws {
            let text = try String(
                contentsOf: folder.appendingPathComponent("Watch-a-system-call-cross-the-boundary.tutorial"),
                encoding: .utf8)
            return text.components(separatedBy: "file: \"").dropFirst().map {
                String($0.prefix { $0 != "\"" })
            }
        }
    }

    /// What the command prints on both outputs, line by line.
    static func run(_ command: String, in folder: String) throws -> [String] {
        let process = Process()
        // A test runner may ignore SIGPIPE, and its children with it; in a terminal `head` ends who writes to it.
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["--default-signal=PIPE", "/bin/sh", "-c", command]
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        var environment = ProcessInfo.processInfo.environment
        let program = URL(fileURLWithPath: try #require(Program.path)).standardizedFileURL
        environment["PATH"] = program.deletingLastPathComponent().path + ":" + (environment["PATH"] ?? "")
        environment["LGUEST_BUILTIN_GUEST"] =
            URL(fileURLWithPath: BuiltinGuestFile.path).standardizedFileURL.path
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
        var lines = text.components(separatedBy: "\n")
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// Whether `line` is what `pattern` shows.
    static func matches(_ line: String, _ pattern: String) -> Bool {
        // Runs of blanks are alignment.
        func squeezed(_ text: String) -> String { text.split(separator: " ").joined(separator: " ") }
        let parts = squeezed(pattern).components(separatedBy: "…").map {
            NSRegularExpression.escapedPattern(for: $0.trimmingCharacters(in: .whitespaces))
        }
        let expression = "^" + parts.joined(separator: ".*") + "$"
        return squeezed(line).range(of: expression, options: .regularExpression) != nil
    }

    static func agree(_ printed: ArraySlice<String>, _ shown: ArraySlice<String>) -> Bool {
        guard let pattern = shown.first else { return printed.isEmpty }
        if pattern == "…" {
            return (0...printed.count).contains { agree(printed.dropFirst($0), shown.dropFirst()) }
        }
        guard let line = printed.first, matches(line, pattern) else { return false }
        return agree(printed.dropFirst(), shown.dropFirst())
    }

    static func check(_ name: String, in folder: String) throws {
        for exchange in try transcript(name) {
            let printed = try run(exchange.command, in: folder)
            #expect(
                agree(printed[...], exchange.shown[...]),
                "\(name): \(exchange.command)\n\(printed.prefix(30).joined(separator: "\n"))")
        }
    }
}

@Suite(
    "Tutorial", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct TutorialTests {
    private static let kernel = KernelInventory.vmlinux(4, 0...13, pae: false)

    @Test("each transcript is shown, and each that is shown is there")
    func complete() throws {
        let files = try FileManager.default.contentsOfDirectory(
            atPath: Tutorial.folder.appendingPathComponent("Resources").path)
        #expect(try files.filter { $0.hasSuffix(".txt") }.sorted() == Tutorial.names && files.count == 11)
        for name in try Tutorial.names { #expect(try !Tutorial.transcript(name).isEmpty) }
    }

    @Test("the commands for the built-in guest print what is shown")
    func builtin() throws {
        try Program.withFolder { folder in
            for name in try Tutorial.names.prefix(7) { try Tutorial.check(name, in: folder) }
        }
    }

    @Test(
        "the commands for Linux print what is shown",
        .enabled(if: kernel != nil, "no vmlinux of Linux 4.x without PAE in \(KernelInventory.folder)"),
        .enabled(if: Initramfs.busybox != nil, "no static i386 busybox: Scripts/fetch-busybox gets it"))
    func linux() throws {
        try Program.withFolder { folder in
            let kernel = try #require(Self.kernel)
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/vmlinux", withDestinationPath: kernel.path)
            let script = "#!/bin/sh\nexport PATH=/bin\necho hello from the guest\npoweroff -f\n"
            let archive = try #require(Initramfs.withScript(script))
            try Data(archive).write(to: URL(fileURLWithPath: folder + "/initrd.img"))
            for name in try Tutorial.names.dropFirst(7) { try Tutorial.check(name, in: folder) }
        }
    }

    @Test("the comparison itself can fail")
    func comparison() {
        #expect(
            Tutorial.matches("+0.1s  user  x", "+…s user  x")
                && !Tutorial.matches("+0.1s user y", "+…s user x"))
        #expect(Tutorial.agree(["a", "b", "c"][...], ["a", "…"][...]))
        #expect(!Tutorial.agree(["a", "b"][...], ["a"][...]) && !Tutorial.agree([][...], ["a"][...]))
    }
}

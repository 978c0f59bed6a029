// SPDX-License-Identifier: Apache-2.0
//
// Runs the program itself for a test, and keeps what it left behind.

import Foundation
import LguestKit
import Testing

enum Program {
    /// The program that `make build` made, or nil.
    static let path: String? = {
        let named = ProcessInfo.processInfo.environment["LGUEST_BINARY"] ?? ".build/release/lguest"
        return FileManager.default.isExecutableFile(atPath: named) ? named : nil
    }()

    struct Result {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Runs `lguest`, or another program, with these words to its end.
    /// `steps`: what is typed, each when the output since the step before contains its text.
    static func run(
        _ words: [String], input: String = "", steps: [(after: String, input: String)] = [],
        program: String? = nil
    ) throws -> Result {
        let process = Process()
        let program = try #require(program ?? path)
        // As a shell does: what is no path is looked for in PATH.
        process.executableURL = URL(
            fileURLWithPath: program.contains("/") ? program : try #require(HostPrograms.find(program)))
        process.arguments = words
        let (output, errors, keys) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = keys
        try process.run()
        // A program that has ended does not read any more: what it said tells why.
        try? keys.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        var text = Data()
        for step in steps {
            var since = Data()
            while since.range(of: Data(step.after.utf8)) == nil {
                let more = output.fileHandleForReading.availableData
                if more.isEmpty { break }
                since += more
            }
            text += since
            try? keys.fileHandleForWriting.write(contentsOf: Data(step.input.utf8))
        }
        try keys.fileHandleForWriting.close()
        text += output.fileHandleForReading.readDataToEndOfFile()
        let complaints = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
            errors: String(decoding: complaints, as: UTF8.self))
    }

    /// A new folder, gone after `body`.
    static func withFolder<R>(_ body: (String) throws -> R) throws -> R {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "lguest-test-" + UUID().uuidString.prefix(8)
        ).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }
}

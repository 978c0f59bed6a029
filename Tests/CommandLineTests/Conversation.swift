// SPDX-License-Identifier: Apache-2.0
//
// The program itself, spoken to line by line.

import Foundation
import Testing

/// A run of lguest that is asked and answers. Whatever it runs should end by itself (`--timeout`): waiting for an answer has no
/// limit.
final class Conversation {
    private let process = Process()
    private let (keys, output) = (Pipe(), Pipe())

    init(_ words: [String]) throws {
        process.executableURL = URL(fileURLWithPath: try #require(Program.path))
        process.arguments = words
        process.standardInput = keys
        process.standardOutput = output
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// Sends a line and gives the line that comes back, without its end; "" when the output has ended.
    func ask(_ line: String) -> String {
        try? keys.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))
        var answer = Data()
        while answer.last != 10 {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { return "" }
            answer += more
        }
        return String(decoding: answer.dropLast(), as: UTF8.self)
    }

    /// Ends the input, and gives the status.
    func end() throws -> Int32 {
        try keys.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

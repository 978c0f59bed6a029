// SPDX-License-Identifier: Apache-2.0
//
// A guest under a debugger, for tests: with gdb itself in batch mode, or with a client that speaks the protocol packet
// by packet.

import Foundation
import Support
import TestSupport
import Testing

enum GDB {
    /// gdb, or nil where there is none.
    static let path: String? = ["/usr/bin/gdb", "/usr/local/bin/gdb"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// Runs gdb with these commands on `file`; its output, errors included.
    static func run(_ commands: [String], file: String, _ others: [String] = []) throws -> String {
        let all = ["set pagination off", "set remotetimeout 60", "set confirm off", "set width 0"] + commands
        let gdb = try Child(
            try #require(path), ["-q", "-nx", "-batch"] + all.flatMap { ["-ex", $0] } + [file] + others,
            together: true)
        return gdb.restOfOutput()
    }
}

/// lguest waiting for a debugger at a socket.
final class DebuggedProgram {
    let socket: String
    private let child: Child
    private let folder: String
    private var said = ""

    /// Starts `lguest` with these words and `--gdb=unix:…`.
    init(_ words: [String], option: String = "") throws {
        folder = FileManager.default.temporaryDirectory.path + "/lg" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        socket = folder + "/gdb"
        child = try Child(
            try #require(Program.path), words + ["--gdb=unix:\(socket)\(option)", "--timeout=120"],
            together: true)
        // It says when it is ready.
        while !said.contains("target remote") {
            let more = child.someOutput()
            if more.isEmpty { break }
            said += more
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func connect() throws -> SocketConnection {
        try SocketConnection(path: socket)
    }

    /// Waits for the end; what was printed on both streams, and the status.
    func finish() -> (status: Int32, text: String) {
        said += child.restOfOutput()
        return (child.wait(), said)
    }
}

/// The other end of the protocol.
final class ProtocolClient {
    private let connection: SocketConnection
    private var received: [UInt8] = []

    init(_ connection: SocketConnection) { self.connection = connection }

    func send(_ text: String) {
        let sum = text.utf8.reduce(UInt8(0), &+)
        let digits = String(sum, radix: 16)
        raw(Array("$\(text)#\(digits.count == 1 ? "0" : "")\(digits)".utf8))
    }

    func raw(_ bytes: [UInt8]) { _ = connection.send(bytes) }

    /// The next packet's data; nil when the other end is gone, or silent for half a minute.
    func next() -> String? {
        while true {
            if let start = received.firstIndex(of: UInt8(ascii: "$")),
                let end = received[start...].firstIndex(of: UInt8(ascii: "#")), end + 2 < received.count
            {
                let data = received[(start + 1)..<end]
                let text = String(decoding: data, as: UTF8.self)
                received.removeFirst(end + 3)
                raw([UInt8(ascii: "+")])
                return text
            }
            guard connection.waitForInput(milliseconds: 30_000) else { return nil }
            switch connection.receive() {
            case .bytes(let bytes): received += bytes
            case .nothingNow: break
            case .ended: return nil
            }
        }
    }

    /// What `monitor COMMAND` says.
    func monitor(_ command: String) -> String {
        var text: [UInt8] = []
        var answer = ask(
            "qRcmd," + command.utf8.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined())
        while let packet = answer, packet.hasPrefix("O"), packet != "OK" {
            let digits = Array(packet.dropFirst())
            text += stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)
            }
            answer = next()
        }
        return String(decoding: text, as: UTF8.self)
    }

    func ask(_ text: String) -> String? {
        send(text)
        return next()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The program itself beside a test: started, listened to, killed.

import Foundation

/// A run of `$LGUEST_BINARY`. Whatever it runs should end by itself (`--timeout`): listening to it has no limit.
public final class RunningProgram {
    /// The program that `make build` made, or nil.
    public static let path: String? = {
        let named = ProcessInfo.processInfo.environment["LGUEST_BINARY"] ?? ".build/release/lguest"
        return FileManager.default.isExecutableFile(atPath: named) ? named : nil
    }()

    private let process = Process()
    private let output = Pipe()
    /// What it has printed so far, standard error included.
    public private(set) var text = ""

    /// Starts `program` with these words.
    public init(_ program: String, _ words: [String]) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    deinit { kill() }

    /// Reads until the output contains `mark`; false when it ends without.
    public func wait(for mark: String) -> Bool {
        while !text.contains(mark) {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { return false }
            text += String(decoding: data, as: UTF8.self)
        }
        return true
    }

    /// SIGKILL, then what it had printed before.
    public func kill() {
        if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        _ = waitUntilEnd()
    }

    /// Reads to the end and gives the status.
    @discardableResult
    public func waitUntilEnd() -> Int32 {
        if let rest = try? output.fileHandleForReading.readToEnd() {
            text += String(decoding: rest, as: UTF8.self)
        }
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// A file that goes away with this object.
public final class ScratchFile {
    public let path = NSTemporaryDirectory() + "/lguest-scratch-" + UUID().uuidString

    /// A file of `size` bytes, all zero; nil for no file yet.
    public init(size: Int?) {
        if let size { _ = FileManager.default.createFile(atPath: path, contents: Data(count: size)) }
    }

    public init(_ data: Data) { _ = FileManager.default.createFile(atPath: path, contents: data) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public var bytes: [UInt8] { FileManager.default.contents(atPath: path).map(Array.init) ?? [] }
}

/// Tools of the host that a test may need.
public enum HostTool {
    public static func path(_ name: String) -> String? {
        ["/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"].map { $0 + name }
            .first(where: FileManager.default.isExecutableFile)
    }

    /// Runs a tool to its end: its status and what it printed. Nil when it is not there.
    public static func run(_ name: String, _ words: [String]) throws -> (status: Int32, text: String)? {
        guard let path = path(name) else { return nil }
        let program = try RunningProgram(path, words)
        let status = program.waitUntilEnd()
        return (status, program.text)
    }

    /// Whether this process may make network namespaces with TAP interfaces in them; else the reason.
    public static let noTAP: String? = {
        for tool in ["unshare", "ip", "perl"] where path(tool) == nil { return "no \(tool) on this host" }
        guard FileManager.default.isWritableFile(atPath: "/dev/net/tun") else {
            return "no access to /dev/net/tun"
        }
        let made = try? run(
            "unshare", ["--net", "--map-root-user", "ip", "tuntap", "add", "dev", "t", "mode", "tap"])
        return made?.status == 0 ? nil : "no network namespaces or TAP interfaces for us"
    }()
}

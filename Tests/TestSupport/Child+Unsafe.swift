// SPDX-License-Identifier: Apache-2.0
//
// A program beside a test that runs for as long as the test wants. Foundation's `Process` will not do: it takes a child
// that closes what it inherited, as lguest does, for one that is about to end, and waits for it; and all that are
// really at their end wait behind that.

import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// Why a program could not be started.
public struct ChildError: Error {
    public let program: String
    public let errno: Int32
}

/// A child process with /dev/null for its input. Ends with the object at the latest.
public final class Child {
    public let processID: pid_t
    /// Read ends of its standard output and standard error; the latter is -1 when both are one.
    private let output: Int32
    private let errors: Int32
    private var ended: Int32?

    /// Starts `program` (a path) with these words. `added`: variables of the environment beside the test's own.
    /// `together`: standard error goes where standard output goes.
    public init(
        _ program: String, _ words: [String], added: [String: String] = [:], together: Bool = false
    ) throws {
        let (out, err) = (try Self.pipe(), together ? (-1, -1) : try Self.pipe())
        (output, errors) = (out.0, err.0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            for end in [out.1, err.1] where end >= 0 { close(end) }
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out.1, 1)
        posix_spawn_file_actions_adddup2(&actions, together ? out.1 : err.1, 2)
        let environment = ProcessInfo.processInfo.environment.merging(added) { $1 }
        var process: pid_t = 0
        let failure = Self.withStrings([program] + words) { arguments in
            Self.withStrings(environment.map { "\($0)=\($1)" }) { variables in
                // SAFETY: both lists end in nil and live through the call, which copies what it needs.
                posix_spawn(&process, program, &actions, nil, arguments, variables)
            }
        }
        processID = process
        guard failure == 0 else {
            ended = -1
            throw ChildError(program: program, errno: failure)
        }
    }

    deinit {
        if ended == nil {
            kill(SIGKILL)
            wait()
        }
        close(output)
        if errors >= 0 { close(errors) }
    }

    /// Pipes that no other child gets.
    private static func pipe() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        // SAFETY: it writes two descriptors.
        guard Glibc.pipe(&ends) == 0 else { throw ChildError(program: "pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Copies of `texts` as C strings, with nil behind the last, for the time of `body`.
    private static func withStrings<R>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
    ) -> R {
        let copies = texts.map { strdup($0) }
        // SAFETY: each was made by strdup and is used no more after `body`.
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    public func kill(_ signal: Int32) { if isRunning { Glibc.kill(processID, signal) } }

    public var isRunning: Bool {
        if ended == nil { collect(WNOHANG) }
        return ended == nil
    }

    /// Waits for its end: its status, or 128 plus the signal that ended it. Read its output before: it may wait for
    /// that.
    @discardableResult
    public func wait() -> Int32 {
        while ended == nil { collect(0) }
        return ended ?? -1
    }

    private func collect(_ options: Int32) {
        var status: Int32 = 0
        let found = waitpid(processID, &status, options)
        if found < 0, errno != EINTR { ended = -1 }
        if found == processID { ended = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F }
    }

    /// What it has printed on standard output since the last time, at least a byte; empty when nothing more will come.
    public func someOutput() -> String { String(decoding: Self.some(output), as: UTF8.self) }

    /// What it still prints there until its end.
    public func restOfOutput() -> String { Self.rest(output) }

    /// What it prints on standard error until its end.
    public func restOfErrors() -> String { errors < 0 ? "" : Self.rest(errors) }

    private static func rest(_ descriptor: Int32) -> String {
        var all: [UInt8] = []
        while true {
            let more = some(descriptor)
            if more.isEmpty { return String(decoding: all, as: UTF8.self) }
            all += more
        }
    }

    private static func some(_ descriptor: Int32) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // SAFETY: at most as many bytes as the buffer has.
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            return count > 0 ? Array(buffer[..<count]) : []
        }
    }
}

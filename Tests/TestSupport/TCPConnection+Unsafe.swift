// SPDX-License-Identifier: Apache-2.0
//
// A TCP client for tests, in blocking system calls.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A connection to a port of this host.
public final class TCPConnection {
    private let descriptor: Int32

    /// Connects to 127.0.0.1; nil when nobody listens within about ten seconds. Reads and writes end after `limit`
    /// seconds without progress.
    public init?(port: UInt16, limit: Int = 60) {
        var connected: Int32 = -1
        for _ in 0..<50 where connected < 0 {
            let candidate = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var time = timeval(tv_sec: limit, tv_usec: 0)
            setsockopt(candidate, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(candidate, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            // SAFETY: a sockaddr_in is what an AF_INET socket expects behind the general type.
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(candidate, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result == 0 {
                connected = candidate
            } else {
                close(candidate)
                usleep(200_000)
            }
        }
        guard connected >= 0 else { return nil }
        descriptor = connected
    }

    deinit { close(descriptor) }

    /// Sends all of it; false when the other side does not take it.
    public func send(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            // SAFETY: `done` is inside the array.
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// No more from us.
    public func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Everything up to the other side's end, in pieces to `body`.
    public func receive(_ body: (ArraySlice<UInt8>) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            body(buffer[..<count])
        }
    }
}

/// Serves one caller on a free port of 127.0.0.1: reads a number and a line end, sends so many bytes of the pattern.
public final class PatternServer: @unchecked Sendable {
    // SAFETY (of `@unchecked Sendable`): the descriptor never changes; one thread accepts on it, the other closes it.
    private let descriptor: Int32
    public let port: UInt16

    public init?() {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = descriptor
        // SAFETY: a sockaddr_in is what an AF_INET socket expects, and gives, behind the general type.
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                bind(listener, general, length) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, general, &length) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard result else {
            close(descriptor)
            return nil
        }
        Thread.detachNewThread { [self] in serve() }
    }

    private func serve() {
        let caller = accept(descriptor, nil, nil)
        guard caller >= 0 else { return }
        defer { close(caller) }
        var request: [UInt8] = []
        var byte: UInt8 = 0
        while recv(caller, &byte, 1, 0) == 1, byte != 10 { request.append(byte) }
        var left = Int(String(decoding: request, as: UTF8.self)) ?? 0
        while left > 0 {
            let part = min(left, GuestServices.pattern.count)
            let count = Glibc.send(caller, GuestServices.pattern, part, Int32(MSG_NOSIGNAL))
            guard count == part else { return }
            left -= part
        }
        shutdown(caller, Int32(SHUT_WR))
        _ = recv(caller, &byte, 1, 0)
    }

    /// The sum of what `bytes` bytes are.
    public static func sum(bytes: Int) -> UInt32 {
        var hash: UInt32 = 0x811C_9DC5
        for position in 0..<bytes {
            hash =
                (hash ^ UInt32(GuestServices.pattern[position % GuestServices.pattern.count])) &* 0x0100_0193
        }
        return hash
    }

    /// Nobody is served any more.
    public func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    deinit { close(descriptor) }
}

/// The built-in guest's TCP services (Guests/Sources/BuiltinGuest/Net/TCPServer.swift), seen from outside.
public enum GuestServices {
    /// The bytes that port 19 sends.
    public static let pattern: [UInt8] = (0..<UInt32(65521)).map {
        UInt8(truncatingIfNeeded: ($0 &* 0x9E37_79B1) >> 24)
    }

    /// The sum that port 9 answers with: FNV-1a.
    public static func sum(_ bytes: [UInt8], from start: UInt32 = 0x811C_9DC5) -> UInt32 {
        var hash = start
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return hash
    }

    /// Sends so many megabytes of random bytes to the sink behind `port`; what it answered, and what it should have.
    public static func fill(port: UInt16, megabytes: Int) -> (found: String, expected: String) {
        guard let connection = TCPConnection(port: port) else { return ("no connection", "") }
        var random = GuestDisk.Random(seed: 77)
        let block = (0..<1 << 18).flatMap { _ in
            let word = random.next()
            return (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
        }
        var hash: UInt32 = 0x811C_9DC5
        for _ in 0..<megabytes {
            guard connection.send(block) else { return ("not taken", "") }
            hash = sum(block, from: hash)
        }
        connection.endSending()
        var answer: [UInt8] = []
        connection.receive { answer += $0 }
        return (
            String(decoding: answer, as: UTF8.self),
            "bytes \(megabytes << 20) sum 0x\(String(hash, radix: 16))\n"
        )
    }

    /// Lets the source behind `port` send so many bytes; nil when all came as they should.
    public static func drain(port: UInt16, bytes: Int) -> String? {
        guard let connection = TCPConnection(port: port) else { return "no connection" }
        guard connection.send([UInt8]("\(bytes)\n".utf8)) else { return "not taken" }
        var position = 0
        var firstWrong: Int?
        connection.receive { part in
            for byte in part {
                if byte != pattern[position % pattern.count], firstWrong == nil { firstWrong = position }
                position += 1
            }
        }
        if let firstWrong { return "byte \(firstWrong) is wrong" }
        return position == bytes ? nil : "\(position) bytes instead of \(bytes)"
    }

    /// A port of this host that is free, as far as one can know.
    public static func freePort() -> UInt16 { UInt16.random(in: 20000...32000) }
}

// SPDX-License-Identifier: Apache-2.0
//
// Sockets for those who look at a guest from outside: a debugger, a monitor. A listening socket is made before the
// process is confined; afterwards clients are only accepted, read from and written to. System calls then:
// accept, fcntl, recvfrom, sendto, ppoll, close.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where a socket listens.
public enum SocketAddress: Equatable, Sendable {
    /// A file of the file system.
    case path(String)
    /// A TCP port of this machine alone (127.0.0.1); 0 for one that the host chooses.
    case localPort(UInt16)
}

/// A socket for clients to connect to. Closed when it is forgotten.
public final class ListeningSocket {
    public let descriptor: Int32
    /// The address, with the true port.
    public let address: SocketAddress

    /// Takes the address. Throws `.badInput` when it cannot be had. A socket file that nobody listens on any more is replaced.
    public init(_ address: SocketAddress) throws(LguestError) {
        switch address {
        case .path(let path):
            let made = try HostSocket.make(AF_UNIX)
            descriptor = made
            if HostSocket.isStale(path) { unlink(path) }
            let bound = HostSocket.withPath(path) { bind(made, $0, $1) }
            try HostSocket.check(bound, path.asOneLine)
            self.address = address
        case .localPort(let port):
            let made = try HostSocket.make(AF_INET)
            descriptor = made
            HostSocket.allowReuse(made)
            let bound = HostSocket.withLocalPort(port) { bind(made, $0, $1) }
            try HostSocket.check(bound, "TCP port \(port)")
            self.address = .localPort(HostSocket.port(of: made) ?? port)
        }
    }

    /// Lets clients in. Until then whoever connects is refused, so that nobody waits for answers that cannot come yet.
    public func listen() throws(LguestError) {
        #if canImport(Glibc)
            let result = Glibc.listen(descriptor, 4)
        #else
            let result = Musl.listen(descriptor, 4)
        #endif
        try HostSocket.check(result, "the socket")
    }

    deinit { close(descriptor) }

    /// Whether there is a socket at `path` with nobody behind it.
    public static func isStale(_ path: String) -> Bool { HostSocket.isStale(path) }

    /// The next client, or nil when there is none.
    public func accept() -> SocketConnection? { Self.acceptClient(of: descriptor).map(SocketConnection.init) }

    /// The next client of a socket that listens, as a descriptor that does not block, or nil when there is none.
    public static func acceptClient(of descriptor: Int32) -> Int32? {
        #if canImport(Glibc)
            let client = Glibc.accept(descriptor, nil, nil)
        #else
            let client = Musl.accept(descriptor, nil, nil)
        #endif
        guard client >= 0 else { return nil }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        _ = fcntl(client, F_SETFL, O_NONBLOCK)
        return client
    }
}

/// One connected stream, which does not block. Closed when it is forgotten.
public final class SocketConnection {
    public enum Received: Equatable, Sendable {
        case bytes([UInt8])
        case nothingNow
        case ended
    }

    /// How long `send` waits for a reader who is late, in milliseconds.
    private static let patience: Int32 = 5000

    public let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Connects to the socket at `path`. Throws `.badInput` when nobody listens there.
    public init(path: String) throws(LguestError) {
        let made = try HostSocket.make(AF_UNIX)
        descriptor = made
        try HostSocket.check(HostSocket.withPath(path) { connect(made, $0, $1) }, path.asOneLine)
    }

    deinit { close(descriptor) }

    public func receive() -> Received {
        var buffer = [UInt8](repeating: 0, count: 16384)
        // SAFETY: the array is passed with its own count.
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count > 0 { return .bytes(Array(buffer[..<count])) }
        if count < 0, errno == EAGAIN || errno == EINTR { return .nothingNow }
        return .ended
    }

    /// Waits until there is something to receive, or the other end is gone; false after `milliseconds`.
    public func waitForInput(milliseconds: Int32) -> Bool {
        HostSocket.wait(descriptor, POLLIN, milliseconds)
    }

    /// Sends all of `bytes`, waiting for a slow reader for a while. False when the other end is gone or sleeps.
    public func send(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            // SAFETY: the buffer is valid during the call; `done` is below its count.
            let count = bytes.withUnsafeBytes { buffer -> Int in
                guard let base = buffer.baseAddress else { return -1 }
                #if canImport(Glibc)
                    return Glibc.send(
                        descriptor, base + done, buffer.count - done, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
                #else
                    return Musl.send(descriptor, base + done, buffer.count - done, MSG_NOSIGNAL)
                #endif
            }
            if count > 0 {
                done += count
            } else if count < 0 && errno == EAGAIN {
                guard HostSocket.wait(descriptor, POLLOUT, Self.patience) else { return false }
            } else if count == 0 || errno != EINTR {
                return false
            }
        }
        return true
    }
}

private enum HostSocket {
    static var lastError: String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
    }

    static func make(_ family: Int32) throws(LguestError) -> Int32 {
        #if canImport(Glibc)
            let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        #else
            let type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC
        #endif
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw LguestError(.host, "the host gives no socket: \(lastError)") }
        return descriptor
    }

    /// Throws with the host's reason when `result` is a failure.
    static func check(_ result: Int32, _ name: String) throws(LguestError) {
        if result != 0 { throw LguestError(.badInput, "\(name): \(lastError)") }
    }

    /// Whether there is a socket at `path` with nobody behind it.
    static func isStale(_ path: String) -> Bool {
        var status = stat()
        // SAFETY: lstat writes one structure of its own size.
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK, let probe = try? make(AF_UNIX)
        else { return false }
        defer { close(probe) }
        return withPath(path) { connect(probe, $0, $1) } != 0 && errno == ECONNREFUSED
    }

    static func allowReuse(_ descriptor: Int32) {
        var yes: Int32 = 1
        // SAFETY: one integer is passed with its own size.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    static func wait(_ descriptor: Int32, _ events: Int32, _ milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        // SAFETY: one entry, passed with the count 1.
        return poll(&entry, 1, milliseconds) > 0
    }

    /// The address of a path; one that is too long is cut, and then names nothing that exists.
    static func withPath(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return -1
        }
        // SAFETY: the path is shorter than the array, so a zero byte remains; the address is only used during the
        // call, with its true size.
        return withUnsafeMutablePointer(to: &address) { pointer in
            withUnsafeMutableBytes(of: &pointer.pointee.sun_path) { $0.copyBytes(from: path.utf8) }
            return pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    static func withLocalPort(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // SAFETY: the address is only used during the call, with its true size.
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    static func port(of descriptor: Int32) -> UInt16? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: the structure is passed with its own size.
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return result == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }
}

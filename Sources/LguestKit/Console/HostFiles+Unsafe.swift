// SPDX-License-Identifier: Apache-2.0
//
// The system calls behind the consoles that are not standard input and output.

import CLauncher
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum HostFiles {
    /// What a non-blocking read gave.
    enum ReadResult: Equatable {
        case bytes([UInt8])
        case nothingNow
        case ended
    }

    /// The host's words for `errno`.
    static var lastError: String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
    }

    /// Opens or creates the file at `path` for writing and empties it.
    static func create(_ path: String) throws(LguestError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0o644)
        guard descriptor >= 0 else { throw LguestError(.badInput, "\(path.asOneLine): \(lastError)") }
        return descriptor
    }

    static func openNull() throws(LguestError) -> Int32 {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LguestError(.host, "/dev/null: \(lastError)") }
        return descriptor
    }

    /// Nobody types into standard input any more: it becomes /dev/null, so that it keeps no terminal or pipe open.
    static func detachInput() {
        guard let null = try? openNull() else { return }
        dup2(null, 0)
        close(null)
    }

    /// Nobody reads what this process says from here on.
    static func detachErrors() {
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        guard null >= 0 else { return }
        dup2(null, 2)
        close(null)
    }

    /// A new pseudo-terminal in raw mode: our end, which does not block, the other end held open so that ours
    /// never hangs up, and the other end's name.
    static func openPseudoTerminal() throws(LguestError) -> (ours: Int32, other: Int32, name: String) {
        var buffer = [CChar](repeating: 0, count: 128)
        // SAFETY: the array is passed with its own count; the name is NUL-terminated inside it.
        let ours = lguest_open_pseudo_terminal(&buffer, buffer.count)
        guard ours >= 0 else {
            errno = -ours
            throw LguestError(
                .host, "the host gives no pseudo-terminal: \(lastError)", hint: "is /dev/pts mounted?")
        }
        let name = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard other >= 0 else {
            close(ours)
            throw LguestError(.host, "\(name): \(lastError)")
        }
        var settings = termios()
        // SAFETY: both functions only access the structure that they are given, which is ours.
        if tcgetattr(other, &settings) == 0 {
            cfmakeraw(&settings)
            tcsetattr(other, TCSANOW, &settings)
        }
        return (ours, other, name)
    }

    /// A socket that listens at `path`. A socket file that nobody listens on any more is replaced.
    static func listen(at path: String) throws(LguestError) -> Int32 {
        let descriptor = makeSocket()
        guard descriptor >= 0 else { throw LguestError(.host, "no socket: \(lastError)") }
        var status = stat()
        // SAFETY: lstat writes one structure of its own size.
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK {
            let probe = makeSocket()
            let isAlive = withAddress(path) { connect(probe, $0, $1) } == 0
            close(probe)
            if !isAlive { unlink(path) }
        }
        guard withAddress(path, { bind(descriptor, $0, $1) }) == 0, Self.listen(descriptor) == 0 else {
            let reason = lastError
            close(descriptor)
            throw LguestError(.badInput, "\(path.asOneLine): \(reason)", hint: "the console's socket")
        }
        return descriptor
    }

    private static func makeSocket() -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        return socket(AF_UNIX, type, 0)
    }

    private static func listen(_ descriptor: Int32) -> Int32 {
        #if canImport(Glibc)
            Glibc.listen(descriptor, 1)
        #else
            Musl.listen(descriptor, 1)
        #endif
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // SAFETY: at most all but the last byte of the array is written, so a zero byte remains; the
        // address is only used during the call, with its true size.
        return withUnsafeMutablePointer(to: &address) { pointer in
            withUnsafeMutableBytes(of: &pointer.pointee.sun_path) { buffer in
                buffer.copyBytes(from: path.utf8.prefix(buffer.count - 1))
            }
            return pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    static func read(_ descriptor: Int32) -> ReadResult {
        var buffer = [UInt8](repeating: 0, count: 4096)
        // SAFETY: the array is passed with its own count.
        let count = readInto(descriptor, &buffer, buffer.count)
        if count > 0 { return .bytes(Array(buffer[..<count])) }
        if count < 0, errno == EAGAIN || errno == EINTR { return .nothingNow }
        return .ended
    }

    private static func readInto(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int
    {
        #if canImport(Glibc)
            Glibc.read(descriptor, buffer, count)
        #else
            Musl.read(descriptor, buffer, count)
        #endif
    }

    /// How many of `bytes` were taken; nil when the other end is gone.
    static func write(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Int? {
        // SAFETY: the buffer is valid during the call, and the count is its own.
        let count = bytes.withUnsafeBytes { buffer in
            #if canImport(Glibc)
                Glibc.write(descriptor, buffer.baseAddress, buffer.count)
            #else
                Musl.write(descriptor, buffer.baseAddress, buffer.count)
            #endif
        }
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    static func close(_ descriptor: Int32) {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #else
            _ = Musl.close(descriptor)
        #endif
    }

    static func remove(_ path: String) { unlink(path) }

    /// Writing to who has gone shall be an error, not the end of the process.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}

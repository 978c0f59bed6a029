// SPDX-License-Identifier: Apache-2.0
//
// A file that a trace or report goes to.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An open file, or a descriptor that somebody else owns. A write that fails is noted, and later ones are not
/// tried: a full disk must not end a guest.
public final class OutputFile {
    private let descriptor: Int32
    private let isOwned: Bool
    public let name: String
    /// Why a write failed, once one has.
    public private(set) var failure: String?

    /// Creates or empties the file at `path`. Throws `.badInput` when that is not possible.
    public init(creating path: String) throws(LguestError) {
        name = path.asOneLine
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0o644)
        isOwned = true
        guard descriptor >= 0 else {
            throw LguestError(.badInput, "\(name): \(String(cString: strerror(errno)))")
        }
    }

    /// Standard error.
    public init() {
        name = "standard error"
        descriptor = 2
        isOwned = false
    }

    deinit { if isOwned { close(descriptor) } }

    public func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty, failure == nil {
            // SAFETY: write(2) reads exactly the bytes of the storage it is given.
            let count = rest.withUnsafeBytes {
                Self.write(descriptor, $0)
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN {
                    var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&event, 1, 1000)
                    continue
                }
                failure = String(cString: strerror(errno))
                return
            }
            rest = rest.dropFirst(count)
        }
    }

    private static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
            Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #else
            Musl.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
    }

    /// Whether lines that are written are seen on a terminal at once.
    public var isTerminal: Bool { isatty(descriptor) == 1 }
}

// SPDX-License-Identifier: Apache-2.0
//
// A kernel or initrd file that somebody names on the command line. Its parts are read when they are
// asked for (`pread`), not mapped: a file that shrinks while we read it gives an error line and not
// a SIGBUS, and a kernel with 200 MB of debug information costs no memory.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file of known size, read by offset; every read is checked against that size.
public final class InputFile: Sendable {
    /// The name for messages: as given, with control characters replaced.
    public let name: String
    /// Size in bytes when it was opened.
    public let size: UInt64
    private let contents: Contents

    private enum Contents: Sendable {
        case descriptor(Int32)
        case bytes([UInt8])
    }

    /// Opens the regular file at `path` for reading.
    ///
    /// Throws `.badInput` when it does not exist, may not be read, is not a regular file, or has
    /// more than `maximumSize` bytes. `purpose` is the word for it in messages: "kernel", "initrd".
    public init(path: String, purpose: String, maximumSize: UInt64) throws(LguestError) {
        name = path.asOneLine
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw Self.cannotOpen(name, reason: errno) }
        contents = .descriptor(descriptor)
        var status = stat()
        // SAFETY: `status` lives across the call and has the size that fstat expects.
        guard fstat(descriptor, &status) == 0 else {
            size = 0
            throw Self.cannotOpen(name, reason: errno)
        }
        size = UInt64(max(0, status.st_size))
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw LguestError(.badInput, "\(name): is a directory, not a \(purpose)")
        default: throw LguestError(.badInput, "\(name): is not a regular file, so no \(purpose)")
        }
        guard size <= maximumSize else {
            throw LguestError(
                .badInput, "\(name): \(size.asByteCount) are too much for a \(purpose)",
                hint: "the limit is \(maximumSize.asByteCount)")
        }
    }

    /// Bytes that are already in memory, under a name for messages.
    public init(name: String, bytes: [UInt8]) {
        self.name = name.asOneLine
        size = UInt64(bytes.count)
        contents = .bytes(bytes)
    }

    deinit {
        if case .descriptor(let descriptor) = contents { close(descriptor) }
    }

    /// Whether `[offset, offset + count)` lies inside the file.
    public func contains(_ offset: UInt64, count: UInt64) -> Bool {
        offset <= size && count <= size - offset
    }

    /// The bytes `[offset, offset + count)`; throws `.badInput` when the file has not that many.
    public func bytes(_ offset: UInt64, count: UInt64) throws(LguestError) -> [UInt8] {
        guard contains(offset, count: count), let count = Int(exactly: count) else {
            throw truncated(offset, count: count)
        }
        var failure: LguestError?
        // SAFETY: `fill` writes only inside the buffer, and all of it when it returns nil; otherwise
        // the array is left empty.
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let target = UnsafeMutableRawBufferPointer(
                rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
            failure = fill(target, from: offset)
            initialized = failure == nil ? count : 0
        }
        if let failure { throw failure }
        return bytes
    }

    /// Reads the file from `offset` until `target` is full; the error, or nil when all went well.
    public func fill(_ target: UnsafeMutableRawBufferPointer, from offset: UInt64) -> LguestError? {
        guard contains(offset, count: UInt64(target.count)) else {
            return truncated(offset, count: UInt64(target.count))
        }
        switch contents {
        case .bytes(let bytes):
            // SAFETY: the range was checked above; copyBytes checks the target's size itself.
            target.copyBytes(from: bytes[Int(offset)..<Int(offset) + target.count])
            return nil
        case .descriptor(let descriptor):
            var done = 0
            while done < target.count {
                // SAFETY: `done` is below `target.count`, so address and length stay in the buffer.
                let count = pread(
                    descriptor, target.baseAddress.map { $0 + done }, target.count - done,
                    off_t(offset) + off_t(done))
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else { return Self.cannotOpen(name, reason: errno) }
                guard count > 0 else { return truncated(offset, count: UInt64(target.count)) }
                done += count
            }
            return nil
        }
    }

    private func truncated(_ offset: UInt64, count: UInt64) -> LguestError {
        LguestError(
            .badInput,
            "\(name): truncated: \(count.asByteCount) at offset \(offset) are missing, "
                + "it has \(size.asByteCount)"
        )
    }

    private static func cannotOpen(_ name: String, reason: Int32) -> LguestError {
        switch reason {
        case ENOENT: LguestError(.badInput, "\(name): no such file")
        case EACCES, EPERM: LguestError(.badInput, "\(name): permission denied")
        // SAFETY: strerror returns a valid C string for every number; it is copied at once.
        default: LguestError(.badInput, "\(name): \(String(cString: strerror(reason)))")
        }
    }
}

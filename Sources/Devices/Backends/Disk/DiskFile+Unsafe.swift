// SPDX-License-Identifier: Apache-2.0
//
// An open file or block device with reads and writes that are complete or fail.

import CHost
import Support
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file, read and written by offset. Any thread may use it.
final class DiskFile: Sendable {
    /// The name for messages: as given, with control characters replaced.
    let name: String
    /// Size when it was opened.
    let byteCount: UInt64
    private let descriptor: Int32
    /// Whether reads without waiting are worth a try: the file system may not have them.
    private let knowsNoWait = Atomic(true)
    private let knowsZeroRange = Atomic(true)
    private let knowsPunchHole = Atomic(true)

    enum Mode { case readOnly, readWrite, create }

    /// Opens `path` and locks it against other lguests, for writing or (shared) for reading.
    ///
    /// Throws `.badInput` when it cannot be opened so, is no file or block device, or is in use.
    init(path: String, purpose: String, mode: Mode) throws(LguestError) {
        name = path.asOneLine
        lguest_ignore_file_size_signal()
        let access = mode == .readOnly ? O_RDONLY : (mode == .readWrite ? O_RDWR : O_RDWR | O_CREAT)
        descriptor = open(path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o600)
        guard descriptor >= 0 else {
            let reason = errno
            byteCount = 0
            throw LguestError(
                .badInput, "cannot open \(purpose) '\(name)': \(HostIO.message(reason))",
                hint: Self.hint(path, mode, reason))
        }
        var status = stat()
        // SAFETY: `status` lives across the call and has the size that fstat expects.
        guard fstat(descriptor, &status) == 0 else {
            byteCount = 0
            throw LguestError(.badInput, "cannot look at \(purpose) '\(name)': \(HostIO.message(errno))")
        }
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFREG || kind == S_IFBLK else {
            byteCount = 0
            throw LguestError(.badInput, "'\(name)' is neither a file nor a block device, so no \(purpose)")
        }
        // The end of a block device is found in the same way as that of a file.
        let end = lseek(descriptor, 0, SEEK_END)
        byteCount = UInt64(max(0, end))
        guard lguest_file_lock(descriptor, mode == .readOnly ? 0 : 1) == 0 else {
            throw LguestError(
                .badInput, "\(purpose) '\(name)' is in use by another guest",
                hint: mode == .create
                    ? "each guest needs one of its own"
                    : "two guests may share it with ',readonly' or ',overlay'")
        }
    }

    /// What helps where a file could not be opened.
    private static func hint(_ path: String, _ mode: Mode, _ reason: Int32) -> String? {
        switch reason {
        case EACCES, EPERM, EROFS:
            mode == .readWrite ? "',readonly' or ',overlay' needs no right to write" : nil
        // Names may contain commas, so a word that means nothing is part of the name.
        case ENOENT where mode != .create && path.contains(","):
            "of what is behind a ',', only 'readonly', 'overlay' and 'overlay=FILE' are no part of the name"
        default: nil
        }
    }

    /// A nameless file of `byteCount` bytes in the host's folder for temporary files, which goes away with us.
    init(temporaryFor purpose: String, byteCount: UInt64) throws(LguestError) {
        name = "(temporary \(purpose))"
        self.byteCount = byteCount
        lguest_ignore_file_size_signal()
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
        var path = Array("\(folder)/lguest-XXXXXX".utf8CString)
        // SAFETY: the array is a NUL-terminated string, changed in place within its length.
        descriptor = lguest_file_temporary(&path)
        guard descriptor >= 0 else {
            throw LguestError(
                .host, "cannot make a \(purpose) in '\(folder.asOneLine)': \(HostIO.message(errno))",
                hint: "TMPDIR names the folder")
        }
        unlink(&path)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Lets others have the file.
    func unlock() { lguest_file_unlock(descriptor) }

    /// Fills `buffers`; where the file has shrunk since it was opened that is an error and no end of file.
    func read(at offset: UInt64, into buffers: HostBuffers) throws(DiskFailure) {
        var done = 0
        while done < buffers.count {
            done += try step(buffers, done) { list, count in
                lguest_file_read(descriptor, list, count, Int64(offset) + Int64(done), 0)
            }
        }
    }

    /// False when the bytes are not all in the host's memory; some may have been filled in then.
    func readAtOnce(at offset: UInt64, into buffers: HostBuffers) -> Bool {
        guard knowsNoWait.load(ordering: .relaxed) else { return false }
        let result = buffers.withVector { lguest_file_read(descriptor, $0, $1, Int64(offset), 1) } ?? 0
        if result == -Int64(EOPNOTSUPP) || result == -Int64(EINVAL) {
            knowsNoWait.store(false, ordering: .relaxed)
        }
        return result == Int64(buffers.count)
    }

    func write(at offset: UInt64, from buffers: HostBuffers) throws(DiskFailure) {
        var done = 0
        while done < buffers.count {
            done += try step(buffers, done) { list, count in
                lguest_file_write(descriptor, list, count, Int64(offset) + Int64(done))
            }
        }
    }

    /// One system call on what is left; the number of bytes that it moved, at least one.
    private func step(
        _ buffers: HostBuffers, _ done: Int, _ call: (UnsafePointer<iovec>, Int32) -> Int64
    ) throws(DiskFailure) -> Int {
        // SAFETY: the vector is valid during the call and describes memory that `buffers` keeps.
        let result = buffers.slice(done, buffers.count - done).withVector(call) ?? 0
        guard result > 0 else { throw DiskFailure(errno: result < 0 ? Int32(-result) : EIO) }
        return Int(result)
    }

    func sync() throws(DiskFailure) {
        let result = lguest_file_sync(descriptor)
        // What cannot be flushed (some special files) has nothing to flush.
        if result < 0, result != -EINVAL, result != -EROFS { throw DiskFailure(errno: -result) }
    }

    /// Makes a range read as zeros, the quick way if the file system has one.
    func zero(at offset: UInt64, count: UInt64, mayDiscard: Bool) throws(DiskFailure) {
        guard count > 0 else { return }
        if mayDiscard, try quickZero(offset, count, punch: true) { return }
        if try quickZero(offset, count, punch: false) { return }
        let piece: UInt64 = 1 << 18
        let zeros = HostBuffers(zeros: Int(min(count, piece)))
        var done: UInt64 = 0
        while done < count {
            let part = min(piece, count - done)
            try write(at: offset + done, from: zeros.slice(0, Int(part)))
            done += part
        }
    }

    /// Gives the space of a range back, if the file system can; the bytes are unimportant.
    func discard(at offset: UInt64, count: UInt64) throws(DiskFailure) {
        if count > 0 { _ = try quickZero(offset, count, punch: true) }
    }

    private func quickZero(_ offset: UInt64, _ count: UInt64, punch: Bool) throws(DiskFailure) -> Bool {
        guard punch ? knowsPunchHole.load(ordering: .relaxed) : knowsZeroRange.load(ordering: .relaxed)
        else { return false }
        let result = lguest_file_zero(descriptor, Int64(offset), Int64(count), punch ? 1 : 0)
        if result == 0 { return true }
        guard result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL || result == -ENODEV else {
            throw DiskFailure(errno: -result)
        }
        if punch {
            knowsPunchHole.store(false, ordering: .relaxed)
        } else {
            knowsZeroRange.store(false, ordering: .relaxed)
        }
        return false
    }

    /// Small helpers for headers and bitmaps.
    func readBytes(at offset: UInt64, count: Int) throws(DiskFailure) -> [UInt8] {
        let buffers = HostBuffers(zeros: count)
        try read(at: offset, into: buffers)
        return buffers.bytes
    }

    func writeBytes(_ bytes: [UInt8], at offset: UInt64) throws(DiskFailure) {
        try write(at: offset, from: HostBuffers(bytes: bytes))
    }

    /// Sets the length of the file; holes read as zeros.
    func resize(to byteCount: UInt64) throws(DiskFailure) {
        if ftruncate(descriptor, Int(byteCount)) != 0 { throw DiskFailure(errno: errno) }
    }
}

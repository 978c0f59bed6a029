// SPDX-License-Identifier: Apache-2.0
//
// The system calls of the shared folder. Everything goes by descriptors that were opened below the folder's own, so
// that neither ".." nor a symbolic link leads out of it.

import CHost

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An open descriptor, closed with the object.
final class HostFile {
    let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }

    /// O_PATH, which Swift's C library hides.
    static let pathOnly: Int32 = 0o10000000

    /// Opens `path` below `root`; a symbolic link at its end is itself opened, for `pathOnly` only.
    static func open(
        _ root: HostFile, _ path: [UInt8], _ flags: Int32, mode: UInt32 = 0
    ) throws(P9Failure) -> HostFile {
        let result = withCString(path) { lguest_open_beneath(root.descriptor, $0, flags, mode) }
        try P9Failure.check(result)
        return HostFile(result)
    }

    /// A folder of the host, by any path: the one to be shared. A descriptor, or -1 with errno.
    static func openFolder(_ path: String) -> Int32 {
        #if canImport(Glibc)
            Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        #else
            Musl.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        #endif
    }

    func reopened(_ flags: Int32) throws(P9Failure) -> HostFile {
        let result = lguest_reopen(descriptor, flags)
        try P9Failure.check(result)
        return HostFile(result)
    }

    func facts() throws(P9Failure) -> stat {
        var facts = stat()
        try P9Failure.check(lguest_stat(descriptor, &facts))
        return facts
    }

    func read(count: Int, at offset: UInt64) throws(P9Failure) -> [UInt8] {
        guard let position = off_t(exactly: offset) else { throw P9Reader.invalid }
        var reason: Int32 = 0
        // SAFETY: the kernel writes at most `buffer.count` bytes, and as many as it says are kept.
        let bytes = [UInt8](unsafeUninitializedCapacity: max(1, count)) { buffer, initialized in
            let result = again { pread(descriptor, buffer.baseAddress, count, position) }
            if result < 0 { reason = errno }
            initialized = max(0, result)
        }
        guard reason == 0 else { throw P9Failure(reason) }
        return bytes
    }

    func write(_ bytes: ArraySlice<UInt8>, at offset: UInt64) throws(P9Failure) -> Int {
        guard let position = off_t(exactly: offset) else { throw P9Reader.invalid }
        // SAFETY: the slice's bytes live through the call.
        let result = bytes.withUnsafeBytes { buffer in
            again { pwrite(descriptor, buffer.baseAddress, buffer.count, position) }
        }
        guard result >= 0 else { throw P9Failure(errno) }
        return result
    }

    func synchronise(dataOnly: Bool) throws(P9Failure) {
        guard (dataOnly ? fdatasync(descriptor) : fsync(descriptor)) == 0 else { throw P9Failure(errno) }
    }

    func truncate(_ size: UInt64) throws(P9Failure) {
        guard let length = off_t(exactly: size) else { throw P9Failure(EFBIG) }
        guard ftruncate(descriptor, length) == 0 else { throw P9Failure(errno) }
    }

    func linkTarget() throws(P9Failure) -> [UInt8] {
        var reason: Int32 = 0
        // SAFETY: as in `read`; an empty path means the descriptor's own link.
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, initialized in
            let text = UnsafeMutableRawPointer(buffer.baseAddress)?.assumingMemoryBound(to: CChar.self)
            let result = text.map { readlinkat(descriptor, "", $0, buffer.count) } ?? -1
            if result < 0 { reason = errno }
            initialized = max(0, result)
        }
        guard reason == 0 else { throw P9Failure(reason) }
        return bytes
    }

    /// What `statfs` asks for.
    func fileSystem() throws(P9Failure) -> statvfs {
        var facts = statvfs()
        guard fstatvfs(descriptor, &facts) == 0 else { throw P9Failure(errno) }
        return facts
    }

    // In a folder

    func makeDirectory(_ name: [UInt8], mode: UInt32) throws(P9Failure) {
        try check(withCString(name) { mkdirat(descriptor, $0, mode) })
    }

    func makeNode(_ name: [UInt8], mode: UInt32, major: UInt32, minor: UInt32) throws(P9Failure) {
        // The C library's way to put both into one number.
        let device =
            UInt64(major & 0xFFF) << 8 | UInt64(major & ~0xFFF) << 32 | UInt64(minor & 0xFF)
            | UInt64(minor & ~0xFF) << 12
        try check(withCString(name) { mknodat(descriptor, $0, mode, dev_t(device)) })
    }

    func makeLink(_ name: [UInt8], to target: [UInt8]) throws(P9Failure) {
        try check(
            withCString(name) { name in withCString(target) { symlinkat($0, descriptor, name) } })
    }

    func makeHardLink(_ name: [UInt8], of file: HostFile) throws(P9Failure) {
        try P9Failure.check(withCString(name) { lguest_link(file.descriptor, descriptor, $0) })
    }

    func unlink(_ name: [UInt8], isDirectory: Bool) throws(P9Failure) {
        try check(withCString(name) { unlinkat(descriptor, $0, isDirectory ? AT_REMOVEDIR : 0) })
    }

    func rename(_ name: [UInt8], to folder: HostFile, _ newName: [UInt8]) throws(P9Failure) {
        try check(
            withCString(name) { old in
                withCString(newName) { renameat(descriptor, old, folder.descriptor, $0) }
            })
    }

    // Attributes, also through `pathOnly` descriptors

    func setMode(_ mode: UInt32) throws(P9Failure) {
        try P9Failure.check(lguest_change_mode(descriptor, mode))
    }
    /// All ones leaves one of them as it is.
    func setOwner(_ user: UInt32, _ group: UInt32) throws(P9Failure) {
        try P9Failure.check(lguest_change_owner(descriptor, user, group))
    }
    func setTimes(access: timespec, modification: timespec) throws(P9Failure) {
        try P9Failure.check(lguest_change_times(descriptor, [access, modification]))
    }

    /// Names in a folder, `.` and `..` included, with their kinds (DT_…) and file numbers.
    func entries() throws(P9Failure) -> [(name: [UInt8], kind: UInt8, number: UInt64)] {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw P9Failure(errno) }
        guard let folder = fdopendir(copy) else {
            let reason = errno
            close(copy)
            throw P9Failure(reason)
        }
        defer { closedir(folder) }
        rewinddir(folder)
        var list: [(name: [UInt8], kind: UInt8, number: UInt64)] = []
        // SAFETY: readdir gives nil or an entry that is valid until the next call; its name ends in a zero byte.
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            list.append((name, entry.pointee.d_type, UInt64(entry.pointee.d_ino)))
        }
        return list
    }

    private func check(_ result: Int32) throws(P9Failure) {
        if result != 0 { throw P9Failure(errno) }
    }

    private func again(_ body: () -> Int) -> Int {
        while true {
            let result = body()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}

/// Gives `body` the bytes with a zero byte behind them.
private func withCString<R>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    let text = bytes.map(CChar.init(bitPattern:)) + [0]
    // SAFETY: the array is not empty and lives through the call.
    return text.withUnsafeBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
}

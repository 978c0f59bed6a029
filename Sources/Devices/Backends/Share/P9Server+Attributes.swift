// SPDX-License-Identifier: Apache-2.0
//
// Modes, owners, sizes and times.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension P9Server {
    /// All that `stat` has, whatever is asked for: the mask 0x7FF names it.
    func getAttributes(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let facts = try target(try fid(&reader)).facts()
        writer.put(UInt64(0x7FF))
        putQID(facts, &writer)
        writer.put(UInt32(facts.st_mode))
        writer.put(UInt32(facts.st_uid))
        writer.put(UInt32(facts.st_gid))
        writer.put(UInt64(facts.st_nlink))
        writer.put(UInt64(facts.st_rdev))
        writer.put(UInt64(bitPattern: Int64(facts.st_size)))
        writer.put(UInt64(bitPattern: Int64(facts.st_blksize)))
        writer.put(UInt64(bitPattern: Int64(facts.st_blocks)))
        for time in [facts.st_atim, facts.st_mtim, facts.st_ctim] {
            writer.put(UInt64(bitPattern: Int64(time.tv_sec)))
            writer.put(UInt64(bitPattern: Int64(time.tv_nsec)))
        }
        // Time of birth, generation and data version: not known.
        for _ in 0..<4 { writer.put(UInt64(0)) }
    }

    /// Bits of a request to change attributes.
    private enum Change {
        static let mode: UInt32 = 1, user: UInt32 = 2, group: UInt32 = 4, size: UInt32 = 8
        static let accessTime: UInt32 = 0x10, modificationTime: UInt32 = 0x20
        /// The times given, in place of the present.
        static let setsAccessTime: UInt32 = 0x80, setsModificationTime: UInt32 = 0x100
    }

    func setAttributes(_ reader: inout P9Reader) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let valid: UInt32 = try reader.number()
        let mode: UInt32 = try reader.number()
        let user: UInt32 = try reader.number()
        let group: UInt32 = try reader.number()
        let size: UInt64 = try reader.number()
        var times: [timespec] = []
        for _ in 0..<2 {
            let seconds: UInt64 = try reader.number()
            let nanoseconds: UInt64 = try reader.number()
            guard nanoseconds < 1_000_000_000 else { throw P9Reader.invalid }
            times.append(
                timespec(tv_sec: time_t(truncatingIfNeeded: seconds), tv_nsec: Int(nanoseconds)))
        }
        let file = try target(fid)
        // A link's own mode and times cannot be changed, and what it points to is not ours to touch.
        let isLink = try file.facts().st_mode & S_IFMT == S_IFLNK
        if valid & (Change.user | Change.group) != 0 {
            try file.setOwner(
                valid & Change.user != 0 ? user : .max, valid & Change.group != 0 ? group : .max)
        }
        if valid & Change.mode != 0 {
            guard !isLink else { throw P9Failure(EOPNOTSUPP) }
            try file.setMode(mode & 0o7777)
        }
        if valid & Change.size != 0 {
            guard !isLink else { throw P9Reader.invalid }
            try writable(fid, file).truncate(size)
        }
        if valid & (Change.accessTime | Change.modificationTime) != 0, !isLink {
            try file.setTimes(
                access: Self.time(times[0], valid, Change.accessTime, Change.setsAccessTime),
                modification: Self.time(
                    times[1], valid, Change.modificationTime, Change.setsModificationTime))
        }
    }

    /// The file open for writing: as it is, or again.
    private func writable(_ fid: Fid, _ file: HostFile) throws(P9Failure) -> HostFile {
        if let open = fid.file, fcntl(open.descriptor, F_GETFL) & O_ACCMODE != O_RDONLY { return open }
        return try file.reopened(O_WRONLY | O_NONBLOCK | O_NOCTTY)
    }

    private static func time(_ given: timespec, _ valid: UInt32, _ changes: UInt32, _ sets: UInt32)
        -> timespec
    {
        // The special values of utimensat(2): leave it, and now.
        if valid & changes == 0 { return timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2) }
        return valid & sets != 0 ? given : timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1)
    }

    func statfs(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        _ = try fid(&reader)
        let facts = try root.fileSystem()
        writer.put(UInt32(0x0102_1997))  // the number of 9P itself
        writer.put(UInt32(truncatingIfNeeded: facts.f_bsize))
        writer.put(UInt64(facts.f_blocks))
        writer.put(UInt64(facts.f_bfree))
        writer.put(UInt64(facts.f_bavail))
        writer.put(UInt64(facts.f_files))
        writer.put(UInt64(facts.f_ffree))
        writer.put(UInt64(facts.f_fsid))
        writer.put(UInt32(truncatingIfNeeded: facts.f_namemax))
    }
}

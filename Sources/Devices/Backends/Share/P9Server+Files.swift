// SPDX-License-Identifier: Apache-2.0
//
// Opening, reading, writing and listing.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension P9Server {
    /// Linux's open flags of i386 and x86-64 are the same; the guest's kernel follows links and appends by itself.
    private static let kept = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY

    private func flags(_ wanted: UInt32) throws(P9Failure) -> Int32 {
        let flags = Int32(bitPattern: wanted) & Self.kept
        if flags & O_ACCMODE != O_RDONLY || flags & (O_TRUNC | O_CREAT) != 0 { try requireWritable() }
        // A pipe without a reader on the host must not hold the guest up.
        return flags | O_NONBLOCK | O_NOCTTY
    }

    func open(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let fid = try fid(&reader)
        let flags = try flags(try reader.number()) & ~(O_CREAT | O_EXCL)
        let file: HostFile
        if let kept = fid.kept {
            file = try kept.reopened(flags)
        } else {
            file = try HostFile.open(root, fid.path, flags)
        }
        putQID(try file.facts(), &writer)
        writer.put(UInt32(0))
        fid.file = file
    }

    func create(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let name = try reader.name()
        let flags = try flags(try reader.number()) | O_CREAT
        let mode: UInt32 = try reader.number()
        let path = Self.joined(fid.path, name)
        let file = try Self.newFile(root, path, flags, mode: mode & 0o7777)
        putQID(try file.facts(), &writer)
        writer.put(UInt32(0))
        // The fid of the folder becomes that of the file.
        rename(fid, to: path)
        fid.file = file
        fid.kept = nil
    }

    /// Opens a file that may not be there yet; a new one gets exactly this mode, whatever this process's mask is.
    private static func newFile(
        _ root: HostFile, _ path: [UInt8], _ flags: Int32, mode: UInt32
    ) throws(P9Failure) -> HostFile {
        do throws(P9Failure) {
            let file = try HostFile.open(root, path, flags | O_EXCL, mode: mode)
            if try file.facts().st_mode & 0o7777 != mode { try file.setMode(mode) }
            return file
        } catch {
            guard error.number == EEXIST, flags & O_EXCL == 0 else { throw error }
            return try HostFile.open(root, path, flags, mode: mode)
        }
    }

    func read(_ reader: inout P9Reader, _ writer: inout P9Writer, room: Int) throws(P9Failure) {
        let fid = try fid(&reader)
        let offset: UInt64 = try reader.number()
        let count: UInt32 = try reader.number()
        guard let file = fid.file else { throw P9Failure(EBADF) }
        let bytes = try file.read(count: min(Int(count), max(0, room - 11)), at: offset)
        writer = P9Writer(reserving: bytes.count + 11)
        writer.put(UInt32(bytes.count))
        writer.append(bytes)
    }

    func write(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let offset: UInt64 = try reader.number()
        let count: UInt32 = try reader.number()
        let bytes = try reader.data(Int(count))
        guard let file = fid.file else { throw P9Failure(EBADF) }
        writer.put(UInt32(try file.write(bytes, at: offset)))
    }

    func synchronise(_ reader: inout P9Reader) throws(P9Failure) {
        let fid = try fid(&reader)
        let dataOnly = (try? reader.number(UInt32.self)) ?? 0
        try fid.file?.synchronise(dataOnly: dataOnly != 0)
    }

    /// Entries from `offset` on: the number of the one before. Kept from the first reading to the next one, so that files
    /// that come and go meanwhile shift nothing.
    func readDirectory(
        _ reader: inout P9Reader, _ writer: inout P9Writer, room: Int
    ) throws(P9Failure) {
        let fid = try fid(&reader)
        let offset: UInt64 = try reader.number()
        let count: UInt32 = try reader.number()
        guard let file = fid.file else { throw P9Failure(EBADF) }
        if offset == 0 { fid.entries = try file.entries() }
        let limit = min(Int(count), max(0, room - 11))
        var list = P9Writer(reserving: limit)
        let head = list.bytes.count
        let first = min(Int(exactly: offset) ?? .max, fid.entries.count)
        for (index, entry) in fid.entries.enumerated().dropFirst(first) {
            guard list.bytes.count - head + 24 + entry.name.count <= limit else { break }
            list.put(UInt8(entry.kind == UInt8(DT_DIR) ? 0x80 : entry.kind == UInt8(DT_LNK) ? 0x02 : 0))
            list.put(UInt32(0))
            list.put(Self.pathNumber(entry.number))
            list.put(UInt64(index + 1))
            list.put(entry.kind)
            list.put(entry.name)
        }
        let bytes = Array(list.bytes[head...])
        writer.put(UInt32(bytes.count))
        writer.append(bytes)
    }
}

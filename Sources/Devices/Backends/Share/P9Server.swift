// SPDX-License-Identifier: Apache-2.0
//
// A 9P2000.L server for one folder of the host: the file sharing that every Linux guest understands. This file holds
// the names by which the guest calls files ("fids") and sorts the requests.
//
// A fid remembers a path, not a descriptor, since a guest that caches keeps tens of thousands of them. When a file loses
// its name while fids know it, they get a descriptor first, so that it stays usable.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class P9Server {
    /// One name of the guest's for a file.
    final class Fid {
        /// Below the shared folder, without a slash at either end; empty for the folder itself.
        fileprivate(set) var path: [UInt8]
        /// Open for reading or writing.
        var file: HostFile?
        /// Holds on to a file whose path is gone.
        var kept: HostFile?
        /// A folder's contents since they were last read from the start.
        var entries: [(name: [UInt8], kind: UInt8, number: UInt64)] = []

        init(path: [UInt8]) { self.path = path }
    }

    /// Messages are at most so long; Linux's virtio transport makes no longer ones.
    static let largestMessage: UInt32 = 512 << 10
    /// Fids that a guest may have: several times what a cache of a kernel's tree needs.
    private static let fidLimit = 1 << 20

    /// Makes a path that no file has.
    private static let gone: [UInt8] = Array("/./deleted".utf8)

    let root: HostFile
    public let isReadOnly: Bool
    /// The folder's own.
    public var descriptor: Int32 { root.descriptor }
    private var fids: [UInt32: Fid] = [:]
    /// The same by path; empty where the guest cannot take a path's file away (`isReadOnly`).
    private var fidsByPath: [[UInt8]: [Fid]] = [:]
    private var messageSize = largestMessage

    /// Shares the folder at `path`. Throws `.badInput` when it is none.
    public init(path: String, isReadOnly: Bool) throws(LguestError) {
        self.isReadOnly = isReadOnly
        let descriptor = HostFile.openFolder(path)
        guard descriptor >= 0 else {
            throw LguestError(
                .badInput, "\(path.asOneLine): \(HostIO.message(errno))", hint: "a folder to share")
        }
        root = HostFile(descriptor)
    }

    /// The guest's driver begins anew.
    public func reset() {
        forgetAll()
        messageSize = Self.largestMessage
    }

    /// Carries out one request; `room` is how many bytes the answer may have.
    public func answer(_ request: [UInt8], room: Int) -> [UInt8] {
        guard request.count >= 7 else { return [] }
        let tag = UInt16(truncatingIfNeeded: request.littleEndian(at: 5, width: 2))
        var reader = P9Reader(request, from: 7)
        var writer = P9Writer()
        do throws(P9Failure) {
            guard let kind = P9Request(rawValue: request[4]) else { throw P9Failure(EOPNOTSUPP) }
            try carryOut(kind, &reader, &writer, room: min(room, Int(messageSize)))
            let answer = writer.finished(type: request[4] + 1, tag: tag)
            guard answer.count <= room else { throw P9Failure(EMSGSIZE) }
            return answer
        } catch {
            return P9Writer.failure(error, tag: tag)
        }
    }

    private func carryOut(
        _ kind: P9Request, _ reader: inout P9Reader, _ writer: inout P9Writer, room: Int
    ) throws(P9Failure) {
        switch kind {
        case .version: try negotiate(&reader, &writer)
        case .authenticate: throw P9Failure(EOPNOTSUPP)
        case .attach: try attach(&reader, &writer)
        case .flush: break
        case .walk: try walk(&reader, &writer)
        case .clunk: drop(try reader.number())
        case .remove: try remove(&reader)
        case .statfs: try statfs(&reader, &writer)
        case .open: try open(&reader, &writer)
        case .create: try create(&reader, &writer)
        case .read: try read(&reader, &writer, room: room)
        case .write: try write(&reader, &writer)
        case .synchronise: try synchronise(&reader)
        case .readDirectory: try readDirectory(&reader, &writer, room: room)
        case .getAttributes: try getAttributes(&reader, &writer)
        case .setAttributes: try setAttributes(&reader)
        case .readLink: writer.put(try target(try fid(&reader)).linkTarget())
        case .symlink: try symlink(&reader, &writer)
        case .makeNode: try makeNode(&reader, &writer)
        case .makeDirectory: try makeDirectory(&reader, &writer)
        case .link: try link(&reader)
        case .rename: try rename(&reader)
        case .renameAt: try renameAt(&reader)
        case .unlinkAt: try unlinkAt(&reader)
        // One guest uses the folder, and its kernel keeps its own locks: they are granted.
        case .lock: writer.put(UInt8(0))
        case .getLock: try getLock(&reader, &writer)
        case .walkAttribute, .createAttribute: throw P9Failure(EOPNOTSUPP)
        }
    }

    // Fids

    func fid(_ reader: inout P9Reader) throws(P9Failure) -> Fid {
        guard let fid = fids[try reader.number()] else { throw P9Failure(EBADF) }
        return fid
    }

    private func add(_ number: UInt32, _ fid: Fid) throws(P9Failure) {
        guard fids.count < Self.fidLimit else { throw P9Failure(EMFILE) }
        drop(number)
        fids[number] = fid
        list(fid)
    }

    private func list(_ fid: Fid) {
        if !isReadOnly { fidsByPath[fid.path, default: []].append(fid) }
    }

    private func drop(_ number: UInt32) {
        if let fid = fids.removeValue(forKey: number) { unlist(fid) }
    }

    private func unlist(_ fid: Fid) {
        if isReadOnly { return }
        fidsByPath[fid.path]?.removeAll { $0 === fid }
        if fidsByPath[fid.path]?.isEmpty == true { fidsByPath[fid.path] = nil }
    }

    private func forgetAll() {
        fids = [:]
        fidsByPath = [:]
    }

    /// `fid` is another file's from now on.
    func rename(_ fid: Fid, to path: [UInt8]) {
        unlist(fid)
        fid.path = path
        list(fid)
    }

    /// The file behind a fid, for looking at it.
    func target(_ fid: Fid) throws(P9Failure) -> HostFile {
        if let kept = fid.kept ?? fid.file { return kept }
        return try HostFile.open(root, fid.path, HostFile.pathOnly)
    }

    /// The folder behind a fid, for changing what is in it.
    func folder(_ fid: Fid) throws(P9Failure) -> HostFile {
        try HostFile.open(root, fid.path, HostFile.pathOnly | O_DIRECTORY)
    }

    func requireWritable() throws(P9Failure) { if isReadOnly { throw P9Failure(EROFS) } }

    static func joined(_ folder: [UInt8], _ name: [UInt8]) -> [UInt8] {
        folder.isEmpty ? name : folder + [0x2F] + name
    }

    /// Splits a path into its folder and its last component.
    static func split(_ path: [UInt8]) -> (folder: [UInt8], name: [UInt8]) {
        guard let slash = path.lastIndex(of: 0x2F) else { return ([], path) }
        return (Array(path[..<slash]), Array(path[(slash + 1)...]))
    }

    /// `path` is about to lose its file: whoever knows it holds on to it.
    func keep(_ path: [UInt8]) {
        var holder: HostFile?
        for fid in fidsByPath[path] ?? [] where fid.kept == nil {
            if fid.file == nil && holder == nil { holder = try? HostFile.open(root, path, HostFile.pathOnly) }
            fid.kept = fid.file ?? holder
        }
    }

    /// `path` has lost its file: whoever held on to it is no longer found under that path.
    func forget(_ path: [UInt8]) {
        for fid in fidsByPath[path] ?? [] { rename(fid, to: path + Self.gone) }
    }

    /// What was at `old` is at `new` now, with everything below it.
    func moved(_ old: [UInt8], to new: [UInt8], isDirectory: Bool) {
        for fid in fidsByPath[old] ?? [] { rename(fid, to: new) }
        guard isDirectory else { return }
        let below = old + [0x2F]
        for path in fidsByPath.keys where path.starts(with: below) {
            for fid in fidsByPath[path] ?? [] { rename(fid, to: new + path[old.count...]) }
        }
    }

    // Sessions and walking

    private func negotiate(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let size: UInt32 = try reader.number()
        let version = try reader.string()
        guard size >= 4096 else { throw P9Reader.invalid }
        forgetAll()
        messageSize = min(size, Self.largestMessage)
        writer.put(messageSize)
        let ours = Array("9P2000.L".utf8)
        writer.put(version == ours ? ours : Array("unknown".utf8))
    }

    private func attach(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let number: UInt32 = try reader.number()
        let fid = Fid(path: [])
        putQID(try root.facts(), &writer)
        try add(number, fid)
    }

    private func walk(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let start = try fid(&reader)
        let number: UInt32 = try reader.number()
        let count: UInt16 = try reader.number()
        guard count <= 16 else { throw P9Reader.invalid }
        var path = start.path
        var found: [stat] = []
        for index in 0..<count {
            let name = try reader.string()
            do throws(P9Failure) {
                guard !name.contains(0x2F), !name.isEmpty, name.count < 256, name != [0x2E] else {
                    throw P9Failure(ENOENT)
                }
                path = name == [0x2E, 0x2E] ? Self.split(path).folder : Self.joined(path, name)
                found.append(try HostFile.open(root, path, HostFile.pathOnly).facts())
            } catch {
                // Only a walk that fails at once is an error; else it says how far it came.
                if index == 0 { throw error }
                break
            }
        }
        writer.put(UInt16(found.count))
        for facts in found { putQID(facts, &writer) }
        guard found.count == Int(count) else { return }
        let new = Fid(path: path)
        if count == 0 { new.kept = start.kept }
        try add(number, new)
    }

    /// What identifies a file: its kind, a version that changes with its contents, its number.
    func putQID(_ facts: stat, _ writer: inout P9Writer) {
        let kind: UInt8 =
            switch facts.st_mode & S_IFMT {
            case S_IFDIR: 0x80
            case S_IFLNK: 0x02
            default: 0
            }
        let seconds = UInt64(bitPattern: Int64(facts.st_mtim.tv_sec))
        let nanoseconds = UInt64(bitPattern: Int64(facts.st_mtim.tv_nsec))
        writer.put(kind)
        writer.put(
            UInt32(truncatingIfNeeded: seconds &* 1_000_000_000 &+ nanoseconds &+ UInt64(facts.st_size)))
        writer.put(Self.pathNumber(UInt64(facts.st_ino)))
    }

    /// Linux adds two to what it is given (fs/9p), since it wants no file 0 and 1. With two less its programs see the host's
    /// own numbers: those that git's index has, which would else be thought out of date as a whole.
    static func pathNumber(_ fileNumber: UInt64) -> UInt64 { fileNumber &- 2 }

    private func getLock(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        _ = try fid(&reader)
        _ = try reader.number(UInt8.self)
        writer.put(UInt8(2))  // nobody holds it
        writer.put(try reader.number(UInt64.self))
        writer.put(try reader.number(UInt64.self))
        writer.put(try reader.number(UInt32.self))
        writer.put(try reader.string())
    }
}

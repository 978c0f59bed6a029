// SPDX-License-Identifier: Apache-2.0
//
// Making, moving and removing names.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension P9Server {
    /// Says what the new `name` in a folder is, and gives it its mode: the guest's kernel has taken its program's mask
    /// off already, and this process's is not to count.
    private func put(
        _ fid: Fid, _ name: [UInt8], mode: UInt32? = nil, _ writer: inout P9Writer
    ) throws(P9Failure) {
        let file = try HostFile.open(root, Self.joined(fid.path, name), HostFile.pathOnly)
        if let mode { try file.setMode(mode & 0o7777) }
        putQID(try file.facts(), &writer)
    }

    func symlink(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let name = try reader.name()
        try folder(fid).makeLink(name, to: try reader.string())
        try put(fid, name, &writer)
    }

    /// Devices would be the host's: only files, pipes and sockets are made.
    func makeNode(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let name = try reader.name()
        let mode: UInt32 = try reader.number()
        guard [S_IFREG, S_IFIFO, S_IFSOCK, 0].contains(mode & S_IFMT) else { throw P9Failure(EPERM) }
        try folder(fid).makeNode(name, mode: mode, major: 0, minor: 0)
        try put(fid, name, mode: mode, &writer)
    }

    func makeDirectory(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let name = try reader.name()
        let mode = try reader.number(UInt32.self) & 0o7777
        let folder = try folder(fid)
        try folder.makeDirectory(name, mode: mode)
        // A folder with the set-group-ID bit hands it down.
        let inherited = try folder.facts().st_mode & S_ISGID
        try put(fid, name, mode: mode | inherited, &writer)
    }

    func link(_ reader: inout P9Reader) throws(P9Failure) {
        try requireWritable()
        let place = try fid(&reader)
        let file = try fid(&reader)
        try folder(place).makeHardLink(try reader.name(), of: try target(file))
    }

    func rename(_ reader: inout P9Reader) throws(P9Failure) {
        try requireWritable()
        let file = try fid(&reader)
        let place = try fid(&reader)
        let (oldFolder, oldName) = Self.split(file.path)
        guard !oldName.isEmpty else { throw P9Failure(EBUSY) }
        try rename(oldFolder, oldName, place.path, try reader.name())
    }

    func renameAt(_ reader: inout P9Reader) throws(P9Failure) {
        try requireWritable()
        let from = try fid(&reader)
        let oldName = try reader.name()
        let to = try fid(&reader)
        try rename(from.path, oldName, to.path, try reader.name())
    }

    private func rename(
        _ oldFolder: [UInt8], _ oldName: [UInt8], _ newFolder: [UInt8], _ newName: [UInt8]
    ) throws(P9Failure) {
        let old = Self.joined(oldFolder, oldName)
        let new = Self.joined(newFolder, newName)
        guard old != new else { return }
        let from = try HostFile.open(root, oldFolder, HostFile.pathOnly | O_DIRECTORY)
        let to = try HostFile.open(root, newFolder, HostFile.pathOnly | O_DIRECTORY)
        keep(new)
        try from.rename(oldName, to: to, newName)
        // What was at the new name is gone; its fids hold on to the file and must not be taken for the other one.
        forget(new)
        let isDirectory =
            try HostFile.open(to, newName, HostFile.pathOnly).facts().st_mode & S_IFMT == S_IFDIR
        moved(old, to: new, isDirectory: isDirectory)
    }

    func unlinkAt(_ reader: inout P9Reader) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let name = try reader.name()
        let flags: UInt32 = try reader.number()
        try unlink(fid.path, name, isDirectory: flags & UInt32(AT_REMOVEDIR) != 0)
    }

    func remove(_ reader: inout P9Reader) throws(P9Failure) {
        try requireWritable()
        let fid = try fid(&reader)
        let (place, name) = Self.split(fid.path)
        guard !name.isEmpty else { throw P9Failure(EBUSY) }
        let isDirectory = try target(fid).facts().st_mode & S_IFMT == S_IFDIR
        try unlink(place, name, isDirectory: isDirectory)
    }

    private func unlink(_ place: [UInt8], _ name: [UInt8], isDirectory: Bool) throws(P9Failure) {
        let path = Self.joined(place, name)
        let parent = try HostFile.open(root, place, HostFile.pathOnly | O_DIRECTORY)
        keep(path)
        try parent.unlink(name, isDirectory: isDirectory)
        forget(path)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Folders and small files of the host, for the image cache.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum HostFolders {
    static func environment(_ name: String) -> String? {
        // SAFETY: getenv gives nil or a NUL-terminated string, copied at once; nobody changes the environment.
        getenv(name).map { String(cString: $0) }
    }

    /// Makes `path` and what is missing above it.
    static func create(_ path: String) throws(LguestError) {
        var sofar = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            sofar += "/" + part
            if mkdir(sofar, 0o755) != 0, errno != EEXIST {
                throw LguestError(.host, "\(sofar): \(HostProgram.message(errno))")
            }
        }
    }

    static func exists(_ path: String) -> Bool { access(path, R_OK) == 0 }

    /// Names of what is in a folder, sorted; empty where there is none.
    static func list(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        // SAFETY: readdir gives nil or an entry that is valid until the next call; its name ends in a zero byte.
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The whole file, or nil when it cannot be read.
    static func contents(_ path: String, limit: Int = 1 << 30) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while all.count <= limit {
            // SAFETY: the kernel writes at most as many bytes as the array has.
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { return all }
            all += buffer[..<count]
        }
        return nil
    }

    /// Writes a file so that it is there whole or not at all.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(LguestError) {
        let temporary = "\(path).\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw LguestError(.host, "\(path): \(HostProgram.message(errno))") }
        var rest = bytes[...]
        var reason: Int32 = 0
        while !rest.isEmpty, reason == 0 {
            // SAFETY: the slice's bytes live through the call.
            let count = rest.withUnsafeBytes { Glibc_write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { rest = rest.dropFirst(count) } else if errno != EINTR { reason = errno }
        }
        close(descriptor)
        if reason == 0, rename(temporary, path) != 0 { reason = errno }
        guard reason == 0 else {
            unlink(temporary)
            throw LguestError(.host, "\(path): \(HostProgram.message(reason))")
        }
    }

    private static func Glibc_write(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
        #if canImport(Glibc)
            return Glibc.write(descriptor, bytes, count)
        #else
            return Musl.write(descriptor, bytes, count)
        #endif
    }

    /// Seconds since the file was changed, or nil where there is none.
    static func age(_ path: String) -> Int? {
        var facts = stat()
        guard stat(path, &facts) == 0 else { return nil }
        return max(0, time(nil) - facts.st_mtim.tv_sec)
    }

    static func removeTree(_ path: String) {
        // Nobody can be told when it fails.
        _ = try? HostProgram.run(["rm", "-rf", "--", path], package: "coreutils")
    }

    /// Puts a folder in the place of another one.
    static func move(_ from: String, to path: String) throws(LguestError) {
        removeTree(path)
        guard rename(from, path) == 0 else {
            throw LguestError(.host, "\(path): \(HostProgram.message(errno))")
        }
    }
}

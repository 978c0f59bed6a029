// SPDX-License-Identifier: Apache-2.0
//
// Where the sockets of running guests are: `lguest` in $XDG_RUNTIME_DIR, or /tmp/lguest-UID where there is no such
// folder. It belongs to the user alone.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public struct ControlFolder: Sendable {
    public let path: String
    private static let suffix = ".sock"

    public init(path: String) { self.path = path }

    /// The user's folder, which need not be there yet.
    public static var ofUser: ControlFolder {
        // SAFETY: getenv returns a C string or nil; it is copied at once, and nobody changes the environment.
        if let runtime = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }), runtime.hasPrefix("/"),
            access(runtime, W_OK) == 0
        {
            return ControlFolder(path: runtime + "/lguest")
        }
        return ControlFolder(path: "/tmp/lguest-\(geteuid())")
    }

    /// Makes the folder if need be. Throws `.host` when it is not the user's own.
    public func prepare() throws(LguestError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            // SAFETY: strerror gives a NUL-terminated string, copied at once.
            let reason = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
            throw LguestError(.host, "\(path.asOneLine): \(reason)")
        }
        var status = stat()
        // SAFETY: lstat writes one structure of its own size.
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
            status.st_mode & 0o077 == 0
        else {
            throw LguestError(.host, "\(path.asOneLine): not a folder of this user alone", hint: "mode 0700")
        }
    }

    /// The socket of the guest called `name`. Whatever is no plain letter is written as `%41`, so that every name is
    /// one file in this folder.
    public func socket(of name: String) -> String {
        var file = ""
        for (index, byte) in name.utf8.enumerated() {
            let scalar = Unicode.Scalar(byte)
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-_".unicodeScalars.contains(scalar) || (scalar == "." && index > 0)
            let digits = String(byte, radix: 16)
            if isPlain {
                file.unicodeScalars.append(scalar)
            } else {
                file += "%" + (byte < 16 ? "0" : "") + digits
            }
        }
        return "\(path)/\(file)\(Self.suffix)"
    }

    /// The paths of all sockets that are there, by name.
    public func sockets() -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var found: [String] = []
        while let entry = readdir(folder) {
            // SAFETY: the entry is valid until the next call on this folder, and its name ends in a zero byte.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(Self.suffix) { found.append("\(path)/\(name)") }
        }
        return found.sorted()
    }

    /// Removes what guests left that were killed.
    public func removeStale() {
        for path in sockets() where ListeningSocket.isStale(path) { unlink(path) }
    }
}

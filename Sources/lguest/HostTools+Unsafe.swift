// SPDX-License-Identifier: Apache-2.0
//
// Programs of the host that do a part of the work, and the files that they work on.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum HostTools {
    /// Runs a program to its end; its complaints go to our standard error. Throws `.host` when it is not there
    /// or does not succeed; `package` is what to install.
    static func run(_ words: [String], package: String) throws(LguestError) {
        let name = words.first ?? ""
        // SAFETY: strdup gives copies of our own, freed below; the list ends in nil as execvp wants it, and
        // both live until the program runs.
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let result = posix_spawnp(&process, name, nil, nil, &arguments, environ)
        guard result == 0 else {
            throw LguestError(
                .host, "\(name) cannot be run: \(message(result))",
                hint: "it is in the package \(package); it may be in /sbin, which PATH must name")
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            let how = status & 0x7F == 0 ? "status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
            throw LguestError(.host, "\(name) failed with \(how)")
        }
    }

    /// A new sparse file. Throws `.badInput` when there is one already, or it cannot be made.
    static func createFile(_ path: String, bytes: Int64) throws(LguestError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw LguestError(.badInput, "\(path.asOneLine): \(message(errno))") }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(bytes)) == 0 else {
            let reason = errno
            unlink(path)
            throw LguestError(.host, "\(path.asOneLine): \(message(reason))")
        }
    }

    static func remove(_ path: String) { unlink(path) }

    /// A new folder that only we can read.
    static func temporaryFolder() throws(LguestError) -> String {
        var name = Array(((ProcessFacts.environment("TMPDIR") ?? "/tmp") + "/lguest-XXXXXX").utf8CString)
        // SAFETY: the array ends in a zero byte, and mkdtemp changes the six letters before it only.
        guard mkdtemp(&name) != nil else {
            throw LguestError(
                .host, "no temporary folder: \(message(errno))", hint: "TMPDIR names another place")
        }
        return String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    static func removeTree(_ path: String) {
        // Nobody can be told when it fails, and it is in a folder for temporary things.
        try? run(["rm", "-rf", "--", path], package: "coreutils")
    }

    private static func message(_ reason: Int32) -> String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(reason).map { String(cString: $0) } ?? "error \(reason)"
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Runs a program of the host to its end and keeps what it says.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum HostProgram {
    struct Result {
        var status: Int32
        /// Standard output and standard error, as they came.
        var output: String
        var succeeded: Bool { status == 0 }
    }

    /// Runs `words`, in `folder` if one is named, with nothing on standard input. Throws `.host` when the program is
    /// not there; `package` is what to install.
    static func run(_ words: [String], in folder: String? = nil, package: String) throws(LguestError)
        -> Result
    {
        var words = words
        // posix_spawn(3) has no portable way to change folders; a shell has.
        if let folder { words = ["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", folder] + words }
        let name = words.first ?? ""
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw LguestError(.host, "no pipe: \(message(errno))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        // SAFETY: strdup gives copies of our own, freed below; the list ends in nil as execvp wants it, and
        // both live until the program runs. The actions are made and destroyed here.
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        var process = pid_t()
        let result = posix_spawnp(&process, name, &actions, nil, &arguments, environ)
        close(ends[1])
        guard result == 0 else {
            throw LguestError(
                .host, "\(name) cannot be run: \(message(result))", hint: "it is in the package \(package)")
        }
        let output = readAll(ends[0])
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
        return Result(status: code, output: String(decoding: output, as: UTF8.self))
    }

    private static func readAll(_ descriptor: Int32) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            // SAFETY: the kernel writes at most as many bytes as the array has.
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return all }
            all += buffer[..<count]
        }
    }

    static func message(_ reason: Int32) -> String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(reason).map { String(cString: $0) } ?? "error \(reason)"
    }
}

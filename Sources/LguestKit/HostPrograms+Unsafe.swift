// SPDX-License-Identifier: Apache-2.0
//
// Programs of the host that do a part of the work: where they are, and running them.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public enum HostPrograms {
    /// Where programs are that an ordinary user's PATH does not name, mke2fs among them.
    private static let further = ["/usr/local/sbin", "/usr/sbin", "/sbin"]

    /// The program `name` in PATH or in the system's folders, or nil.
    public static func find(_ name: String) -> String? {
        // SAFETY: getenv returns a C string or nil; it is copied at once, and nobody changes the environment.
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let folders = path.split(separator: ":").map(String.init) + further
        return folders.lazy.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Runs `words[0]`, a name or path, to its end. What it says goes into the new file `output`, if there is one,
    /// and its complaints to our standard error, unless `quietly`, which throws all of it away. Throws `.host` when it is not there or does not succeed; `package`
    /// is what to install.
    public static func run(_ words: [String], package: String, quietly: Bool = false, output: String? = nil)
        throws(LguestError)
    {
        let name = words.first ?? ""
        guard let program = name.contains("/") ? name : find(name) else {
            throw LguestError(
                .host, "\(name) is not there", hint: "it is in the package \(package)")
        }
        // SAFETY: strdup gives copies of our own, freed below; the list ends in nil as posix_spawn wants it, and
        // both live until the program runs.
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if quietly {
            for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
                posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
            }
        }
        if let output {
            posix_spawn_file_actions_addopen(
                &actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        }
        var process = pid_t()
        let result = posix_spawn(&process, program, &actions, nil, &arguments, environ)
        guard result == 0 else { throw LguestError(.host, "\(name) cannot be run: \(message(result))") }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            let how = status & 0x7F == 0 ? "status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
            throw LguestError(.host, "\(name) failed with \(how)")
        }
    }

    /// The host's words for an error number.
    public static func message(_ reason: Int32) -> String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(reason).map { String(cString: $0) } ?? "error \(reason)"
    }
}

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

    /// The descriptor on which the program finds a pipe for its `status` lines.
    static let statusDescriptor: Int32 = 3

    /// Runs `words`, in `folder` if one is named, with nothing on standard input. `status` gets the lines that the program
    /// writes to `statusDescriptor`, as they come. Throws `.host` when the program is not there; `package` is what
    /// to install.
    static func run(
        _ words: [String], in folder: String? = nil, package: String, status: ((Substring) -> Void)? = nil
    ) throws(LguestError) -> Result {
        var words = words
        // posix_spawn(3) has no portable way to change folders; a shell has.
        if let folder { words = ["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", folder] + words }
        let name = words.first ?? ""
        let output = try Pipe()
        let reports = try Pipe()
        // SAFETY: strdup gives copies of our own, freed below; the list ends in nil as execvp wants it, and
        // both live until the program runs. The actions are made and destroyed here.
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writing, 1)
        posix_spawn_file_actions_adddup2(&actions, output.writing, 2)
        if status != nil { posix_spawn_file_actions_adddup2(&actions, reports.writing, statusDescriptor) }
        var process = pid_t()
        let result = posix_spawnp(&process, name, &actions, nil, &arguments, environ)
        output.endWriting()
        reports.endWriting()
        guard result == 0 else {
            throw LguestError(
                .host, "\(name) cannot be run: \(message(result))", hint: "it is in the package \(package)")
        }
        let text = collect(output.reading, reports.reading, status ?? { _ in })
        var end: Int32 = 0
        while waitpid(process, &end, 0) < 0 && errno == EINTR {}
        let code = end & 0x7F == 0 ? end >> 8 & 0xFF : 128 + end & 0x7F
        return Result(status: code, output: String(decoding: text, as: UTF8.self))
    }

    /// Reads both to their ends; returns what came from the first one.
    private static func collect(
        _ output: Int32, _ reports: Int32, _ status: (Substring) -> Void
    ) -> [UInt8] {
        var all: [UInt8] = []
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        var waiting = [
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: reports, events: Int16(POLLIN), revents: 0),
        ]
        while waiting.contains(where: { $0.fd >= 0 }) {
            // SAFETY: the list has as many entries as is said.
            if poll(&waiting, nfds_t(waiting.count), -1) < 0 && errno != EINTR { return all }
            for index in waiting.indices where waiting[index].fd >= 0 && waiting[index].revents != 0 {
                // SAFETY: the kernel writes at most as many bytes as the array has.
                let count = read(waiting[index].fd, &buffer, buffer.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else {
                    waiting[index].fd = -1
                    continue
                }
                guard index == 1 else {
                    all += buffer[..<count]
                    continue
                }
                for byte in buffer[..<count] {
                    if byte == 10 {
                        status(String(decoding: line, as: UTF8.self)[...])
                        line = []
                    } else {
                        line.append(byte)
                    }
                }
            }
        }
        return all
    }

    static func message(_ reason: Int32) -> String { HostPrograms.message(reason) }
}

/// A pipe that programs do not inherit.
private final class Pipe {
    let reading: Int32
    private(set) var writing: Int32

    init() throws(LguestError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw LguestError(.host, "no pipe: \(HostPrograms.message(errno))")
        }
        // Copies above the descriptors that a program gets.
        (reading, writing) = (fcntl(ends[0], F_DUPFD_CLOEXEC, 10), fcntl(ends[1], F_DUPFD_CLOEXEC, 10))
        close(ends[0])
        close(ends[1])
    }

    deinit {
        close(reading)
        endWriting()
    }

    func endWriting() {
        if writing >= 0 { close(writing) }
        writing = -1
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Starting a helper program with one end of a socket.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A program that we have started and that ends with us.
final class ChildProcess {
    /// Our end of a stream socket, which does not block; the program has the other as descriptor 3.
    let socket: Int32
    private var process: pid_t

    /// Starts `words[0]`, looked up in PATH. Throws the host's reason when it cannot.
    init(_ words: [String]) throws(DiskFailure) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0
        else { throw DiskFailure(errno: errno) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        // SAFETY: `dup2` also clears close-on-exec, unless both numbers are the same, which they are not:
        // both ends were opened after the standard descriptors, and the other end goes to the child as 3.
        posix_spawn_file_actions_adddup2(&actions, ends[1], 3)
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        process = 0
        let result = posix_spawnp(&process, words.first ?? "", &actions, nil, &arguments, environ)
        for argument in arguments { free(argument) }
        posix_spawn_file_actions_destroy(&actions)
        HostIO.close(ends[1])
        socket = ends[0]
        guard result == 0 else {
            process = 0
            HostIO.close(ends[0])
            throw DiskFailure(errno: result)
        }
        _ = fcntl(socket, F_SETFL, O_NONBLOCK)
    }

    /// The host's number for it, 0 when it has ended.
    var number: Int32 { process }

    deinit { end() }

    /// Whether the program has ended already.
    var hasEnded: Bool {
        var status: Int32 = 0
        if process > 0, waitpid(process, &status, WNOHANG) == process { process = 0 }
        return process == 0
    }

    /// Ends it, and waits for that, but not for ever.
    func end() {
        guard process > 0 else { return }
        // The end of its connection is what counts: a program that has become another user cannot be signalled by
        // us, who have dropped the capability for that.
        _ = shutdown(socket, Int32(SHUT_RDWR))
        kill(process, SIGTERM)
        for _ in 0..<Self.patience {
            if hasEnded { return }
            _ = HostIO.wait([], nanoseconds: 10_000_000)
        }
        process = 0
    }

    /// Looks, 10 ms apart, at a program that is to end.
    private static let patience = 300
}

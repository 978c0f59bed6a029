// SPDX-License-Identifier: Apache-2.0
//
// What the process can ask about itself and its surroundings.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum ProcessFacts {
    /// The value of an environment variable, or nil.
    static func environment(_ name: String) -> String? {
        // SAFETY: getenv returns a C string or nil; it is copied at once, and nobody changes the
        // environment.
        getenv(name).map { String(cString: $0) }
    }

    /// Absolute path of the running program, or nil where /proc does not tell.
    static var executablePath: String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        // SAFETY: the array is passed with its own count.
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Lets the signals that end a program through. Who starts us from a thread that blocks them (thread
    /// pools do) would otherwise get a guest that only SIGKILL can end.
    static func unblockEndingSignals() {
        var signals = sigset_t()
        // SAFETY: the set is ours and initialised before it is used.
        sigemptyset(&signals)
        for number in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// Whether `path` can be read.
    static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }
}

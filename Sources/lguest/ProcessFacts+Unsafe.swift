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

    static var isRoot: Bool { geteuid() == 0 }

    /// The name of the user's shell: "bash"; nil when it is not known.
    static var shell: String? { environment("SHELL")?.split(separator: "/").last.map(String.init) }

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

    /// Descriptors above the standard ones that were open when the program began: whoever started us forgot
    /// them, or gave one to be named as /dev/fd/N, which opens it anew.
    static let inheritedDescriptors: [Int32] = {
        guard let folder = opendir("/proc/self/fd") else { return (3..<256).filter(isOpen) }
        defer { closedir(folder) }
        var found: [Int32] = []
        while let entry = readdir(folder) {
            // SAFETY: the entry is valid until the next call on this folder, and its name ends in a zero byte.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name), number > 2, number != dirfd(folder) { found.append(number) }
        }
        return found
    }()

    private static func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

    /// To be called first: programs that we start do not get them.
    static func keepInheritedDescriptorsToOurselves() {
        for descriptor in inheritedDescriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }

    /// Whether `path` can be read.
    static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }
}

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

    /// Whether `path` can be read.
    static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }
}

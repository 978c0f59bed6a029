// SPDX-License-Identifier: Apache-2.0
//
// Removes a socket's file when we end, however we end: a confined process may remove nothing, and a killed one
// can do nothing, so a small child process does it.

import CLauncher
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The file at a path is removed when this object or this process goes.
public final class PathCleaner {
    private let descriptor: Int32
    private var process: Int32 = 0

    /// Throws `.host` when the host gives no process.
    public init(path: String) throws(LguestError) {
        // SAFETY: Swift passes a NUL-terminated copy that lives through the call; the child has its own.
        descriptor = lguest_cleaner_start(path, &process)
        guard descriptor >= 0 else {
            // SAFETY: strerror gives a NUL-terminated string, copied at once.
            let reason = strerror(-descriptor).map { String(cString: $0) } ?? "error \(-descriptor)"
            throw LguestError(.host, "no process to clean up \(path.asOneLine) after us: \(reason)")
        }
    }

    deinit {
        if descriptor >= 0 { lguest_cleaner_end(descriptor, process) }
    }
}

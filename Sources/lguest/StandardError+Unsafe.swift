// SPDX-License-Identifier: Apache-2.0
//
// Lines for people on file descriptor 2, unbuffered.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum StandardError {
    /// Writes `text` and a newline. There is nobody to tell when that fails.
    static func print(_ text: String) {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            // SAFETY: the buffer is valid during the call, and the count is its own.
            let count = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines for people, on standard error.
enum Report {
    static func line(_ text: String) { self.text(text + "\n") }

    static func text(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            // SAFETY: write(2) reads exactly the bytes of the storage it is given.
            let written = rest.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) } ?? -1
            if written <= 0 { return }
            rest = rest.dropFirst(written)
        }
    }
}

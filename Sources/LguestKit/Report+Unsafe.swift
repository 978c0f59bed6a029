// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines for people, on standard error.
enum Report {
    static func line(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            // SAFETY: write(2) reads exactly the bytes of the storage it is given.
            let written = rest.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) } ?? -1
            if written <= 0 { return }
            rest = rest.dropFirst(written)
        }
    }
}

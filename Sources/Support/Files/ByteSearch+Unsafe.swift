// SPDX-License-Identifier: Apache-2.0
//
// Finding bytes in bytes by the C library, which does it many at a time: kernels are searched at each start.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension [UInt8] {
    /// Index where `pattern` (not empty) occurs first at or after `start`, or nil.
    public func firstIndex(of pattern: [UInt8], from start: Int = 0) -> Int? {
        guard !pattern.isEmpty, start >= 0, start <= count else { return nil }
        return withUnsafeBytes { bytes in
            pattern.withUnsafeBytes { wanted in
                guard let base = bytes.baseAddress, let wantedBase = wanted.baseAddress,
                    // SAFETY: `start` is at most `count`; both ranges lie inside their arrays.
                    let found = memmem(base + start, bytes.count - start, wantedBase, wanted.count)
                else { return nil }
                return UnsafeRawPointer(found) - base
            }
        }
    }
}

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
        guard let first = pattern.first, start >= 0 else { return nil }
        return withUnsafeBytes { bytes in
            pattern.withUnsafeBytes { wanted in
                guard let base = bytes.baseAddress, let wantedBase = wanted.baseAddress else { return nil }
                var index = start
                while index <= bytes.count - wanted.count {
                    // SAFETY: what is looked at lies inside the two arrays, as the loop's condition says.
                    guard
                        let found = memchr(base + index, Int32(first), bytes.count - wanted.count - index + 1)
                    else { return nil }
                    index = UnsafeRawPointer(found) - base
                    if memcmp(base + index, wantedBase, wanted.count) == 0 { return index }
                    index += 1
                }
                return nil
            }
        }
    }
}

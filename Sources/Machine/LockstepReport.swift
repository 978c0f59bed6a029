// SPDX-License-Identifier: Apache-2.0
//
// The end of a run in lockstep that has found a difference.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Shows the difference on standard error and ends the process: the guest's state is not to be trusted.
func endInLockstep(_ difference: String) -> Never {
    var rest = Array((difference + "\n").utf8)[...]
    while !rest.isEmpty {
        let written = rest.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) } ?? -1
        if written <= 0 { break }
        rest = rest.dropFirst(written)
    }
    exit(1)
}

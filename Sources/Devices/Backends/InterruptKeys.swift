// SPDX-License-Identifier: Apache-2.0
//
// The way out of a guest that holds the terminal: Ctrl-C three times within a second.

/// Counts Ctrl-C as the reference launcher does (lguest ABI 10.3): three reads of exactly one byte 0x03,
/// the third no later than in the second after that of the first, comparing whole seconds. Any other input
/// starts anew.
struct InterruptKeys {
    private static let controlC: UInt8 = 0x03
    private var count = 0
    private var firstSecond: UInt64 = 0

    /// Takes note of one read of `bytes` at `nanoseconds`. True when the user wants out.
    mutating func consider(_ bytes: [UInt8], nanoseconds: UInt64) -> Bool {
        guard bytes == [Self.controlC] else {
            count = 0
            return false
        }
        let second = nanoseconds / 1_000_000_000
        if count == 0 { firstSecond = second }
        count += 1
        guard count == 3 else { return false }
        count = 0
        return second <= firstSecond + 1
    }
}

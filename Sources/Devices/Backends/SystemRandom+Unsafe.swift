// SPDX-License-Identifier: Apache-2.0
//
// Random bytes from the host's kernel.

import CHost

/// `getrandom(2)`.
public final class SystemRandom: RandomSource {
    public init() {}

    public func randomBytes(_ count: Int) -> [UInt8] {
        // SAFETY: the function writes exactly `buffer.count` bytes, or reports a failure, and then there are none.
        [UInt8](unsafeUninitializedCapacity: max(0, count)) { buffer, initialized in
            let done = buffer.count == 0 || lguest_random(buffer.baseAddress, UInt64(count)) == 0
            initialized = done ? max(0, count) : 0
        }
    }
}

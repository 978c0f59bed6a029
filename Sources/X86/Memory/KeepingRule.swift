// SPDX-License-Identifier: Apache-2.0

/// Whether a flush of everything looks which translations still hold, or forgets them all. To look at one costs less than
/// to find it again, but most of those of a large process may not be wanted again soon.
struct KeepingRule {
    /// How many have been found again between two flushes, the first of which forgot all.
    private var wanted = 64
    private var isCounting = false

    /// The answer for a flush that finds `count` of them.
    mutating func keeps(_ count: Int) -> Bool {
        if isCounting { wanted = count }
        isCounting = count > 4 * wanted + 16
        return !isCounting
    }
}

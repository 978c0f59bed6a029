// SPDX-License-Identifier: Apache-2.0
//
// Giving pages of guest memory back to the host.

import CHost
import GuestMemory

extension GuestMemory {
    /// Frees `count` pages from page `first` on: they read as zeros from now on. False when they are not RAM, or
    /// the host does not want them.
    func discardPages(first: UInt64, count: UInt64) -> Bool {
        guard count > 0, first < 1 << 32, count < 1 << 32,
            contains(first << 12, length: count << 12)
        else { return false }
        announceWrite(address: first << 12, length: count << 12)
        // SAFETY: the range was checked, is whole pages, and lies in the mapping of the RAM.
        return lguest_memory_discard(base + Int(first << 12), count << 12) == 0
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Which pages may have an entry in a flat table, each once, in the order of their filling: what a flush has to look
// at.

import CHost

final class PageJournal {
    let capacity: Int
    private let pages: UnsafeMutablePointer<UInt32>
    /// One byte for each page of the address space: whether it is in the list. Demand-zero; nil where the host denies
    /// it, and a page may then be listed more than once.
    private let listed: UnsafeMutablePointer<UInt8>?
    @exclusivity(unchecked) private(set) var count = 0

    /// A list of at most `capacity` pages.
    init(capacity: Int = 1 << 15) {
        self.capacity = capacity
        pages = .allocate(capacity: capacity)
        listed = lguest_zero_pages(TranslationTables.pages)?
            .bindMemory(to: UInt8.self, capacity: TranslationTables.pages)
    }

    deinit {
        // SAFETY: both were made by `init`.
        pages.deallocate()
        if let listed { lguest_zero_pages_release(listed, TranslationTables.pages) }
    }

    var isFull: Bool { count == capacity }

    /// The pages; valid until the next change.
    var all: UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(start: pages, count: count) }

    /// Adds a page if it is not there. The journal must not be full.
    @inline(__always)
    func add(_ page: UInt32) {
        if let listed {
            // SAFETY: callers pass page numbers below 2^20.
            if listed[Int(page)] != 0 { return }
            listed[Int(page)] = 1
        }
        pages[count] = page
        count += 1
    }

    /// Whether a page may be in the list: certainly where the host has denied the memory to know.
    @inline(__always)
    func contains(_ page: UInt32) -> Bool {
        guard let listed else { return true }
        // SAFETY: as above.
        return listed[Int(page)] != 0
    }

    func removeAll() {
        if let listed { for page in all { listed[Int(page)] = 0 } }
        count = 0
    }

    /// Keeps the pages for which `keeps` says so.
    @inline(__always)
    func filter(_ keeps: (UInt32) -> Bool) {
        var kept = 0
        for line in 0..<count {
            let page = pages[line]
            if keeps(page) {
                pages[kept] = page
                kept += 1
            } else if let listed {
                listed[Int(page)] = 0
            }
        }
        count = kept
    }
}

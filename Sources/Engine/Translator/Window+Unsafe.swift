// SPDX-License-Identifier: Apache-2.0
//
// The window of one guest address space: its user pages, mapped at a constant distance from their linear
// addresses, with the rights that the flat tables give user code and no more. What is in the window is always in
// the flat tables, too.

import CHost
import X86

final class Window {
    /// Pages of all windows of this process that may be mapped at a time: the host allows some 65,000 mappings.
    static let pageBudget = 24_000

    let base: UnsafeMutableRawPointer
    /// One byte a page: 0 none, 1 readable, 2 writable.
    private let state: UnsafeMutablePointer<UInt8>
    private(set) var mappedCount = 0
    private var lowest: UInt32 = UInt32.max
    private var highest: UInt32 = 0
    private let memory: UnsafeMutableRawPointer
    private let file: Int32

    static let pages = 1 << 20

    /// Nil where the host denies the addresses.
    init?(memory: UnsafeMutableRawPointer, file: Int32) {
        guard let base = lguest_window_reserve() else { return nil }
        self.base = base
        self.memory = memory
        self.file = file
        // Demand-zero: a process touches few of these pages.
        guard let bytes = lguest_zero_pages(Window.pages) else {
            lguest_window_release(base)
            return nil
        }
        state = bytes.bindMemory(to: UInt8.self, capacity: Window.pages)
    }

    deinit {
        // SAFETY: both were made by `init`; the engine does not run in this window any more.
        lguest_window_release(base)
        lguest_zero_pages_release(state, Window.pages)
    }

    /// Maps `page` and those of the `limit - 1` pages behind it that the flat tables know and that lie behind it in
    /// memory, too. Returns the number of calls to the host; 0 if it refused.
    func map(_ page: UInt32, tables: AddressSpaceTables, limit: UInt32) -> Int {
        let first = host(page, tables)
        guard let first else { return 0 }
        var count: UInt32 = 1
        while count < limit, page + count < UInt32(Window.pages), state[Int(page + count)] != first.rights,
            let next = host(page + count, tables), next.rights == first.rights,
            next.offset == first.offset + UInt(count) << 12
        {
            count += 1
        }
        guard
            lguest_window_map(
                base, page, Int(count), file, UInt64(first.offset), first.rights == 2 ? 1 : 0) == 0
        else { return 0 }
        for n in page..<page + count {
            if state[Int(n)] == 0 { mappedCount += 1 }
            state[Int(n)] = first.rights
        }
        lowest = min(lowest, page)
        highest = max(highest, page + count - 1)
        return 1
    }

    /// Offset in the RAM's file, and rights, of a page that user code may read.
    private func host(_ page: UInt32, _ tables: AddressSpaceTables) -> (offset: UInt, rights: UInt8)? {
        // SAFETY: the table has an entry for each page.
        let entry = tables.userRead[Int(page)]
        guard entry != 0 else { return nil }
        let address = entry &+ UInt(page) << 12
        return (address &- UInt(bitPattern: memory), tables.userWrite[Int(page)] == entry ? 2 : 1)
    }

    func isMapped(_ page: UInt32) -> Bool { state[Int(page & 0xFFFFF)] != 0 }

    /// Takes pages out; returns how many were in.
    func unmap(_ first: UInt32, count: UInt32) -> Int {
        guard mappedCount > 0, count > 0, first <= highest else { return 0 }
        let start = max(first, lowest)
        let end = min(UInt64(first) + UInt64(count), UInt64(highest) + 1)
        guard UInt64(start) < end else { return 0 }
        var from: UInt32?
        var removed = 0
        var to = start
        for page in start..<UInt32(end) where state[Int(page)] != 0 {
            state[Int(page)] = 0
            removed += 1
            if from == nil { from = page }
            to = page
        }
        guard let from else { return 0 }
        // Pages between two mapped ones are inaccessible already: one call does for all.
        guard lguest_window_unmap(base, from, Int(to - from + 1)) == 0 else {
            preconditionFailure("the host does not take back a mapping")
        }
        mappedCount -= removed
        if mappedCount == 0 {
            lowest = UInt32.max
            highest = 0
        }
        return removed
    }

    /// Takes away the right to write a page frame wherever it is mapped here.
    func revokeWrites(host frame: UInt, tables: AddressSpaceTables) {
        guard mappedCount > 0 else { return }
        for page in lowest...highest where state[Int(page)] == 2 {
            let entry = tables.userRead[Int(page)]
            guard entry == 0 || entry &+ UInt(page) << 12 == frame else { continue }
            guard lguest_window_protect(base, page, 1, 0) == 0 else {
                preconditionFailure("the host does not take back a right")
            }
            state[Int(page)] = 1
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The kernel's linear map at its own addresses: guest-linear address `a` of the kernel is host address `a`. Hosts
// keep nothing below 4 GiB in a process like this one, so the kernel's memory operands run as they are, with a 32-bit
// address and no look into a table. One engine of a process can have it; all address spaces share it.
//
// Only pages of RAM at their place in the linear map are here, with the rights that the flat tables give the
// kernel; everything else (user pages, what the kernel maps elsewhere, devices) is inaccessible and takes the slow
// path.

import CHost
import GuestMemory
import X86

final class DirectWindow {
    /// Pages behind a missing one that are looked at with it.
    private static let ahead: UInt32 = 256
    /// Pages that may be read only among others: each may cost two of the 65,000 mappings that the host allows.
    private static let readOnlyLimit = 12_000
    /// Calls to the host that are always paid for, and guest instructions that pay for one more.
    private static let freeCalls: UInt64 = 20_000
    private static let instructionsPerCall: UInt64 = 10_000

    private let memory: GuestMemory
    private let tables: TranslationTables
    /// Whether generated code may use it.
    @exclusivity(unchecked) private(set) var isOpen = false
    /// The linear map, in pages of linear addresses.
    private var first: UInt32 = 0
    private var end: UInt32 = 0
    /// Page that physical address 0 has in the linear map.
    private var origin: UInt32 = 0
    /// One byte for each page from `first` on: 0 none, 1 readable, 2 writable.
    private var state: UnsafeMutablePointer<UInt8>?
    private var stateBytes = 0
    private var isReserved = false
    /// Given up: this guest changes its linear map too often.
    private var isClosed = false
    private var calls: UInt64 = 0
    private var readOnly = 0
    /// For `--stats`.
    private(set) var pagesMapped: UInt64 = 0
    private(set) var pagesUnmapped: UInt64 = 0

    init(memory: GuestMemory, tables: TranslationTables) {
        self.memory = memory
        self.tables = tables
    }

    deinit { release() }

    /// Opens it for the linear map that the guest has by now, or closes it. Generated code must not be running.
    func follow(_ cpu: CPU) {
        let range = tables.linearMap
        if range.first != first || range.end != end || range.origin != origin {
            release()
            (first, end, origin) = range
            if first < end && !isClosed { open() }
        }
        if isOpen && calls > DirectWindow.freeCalls + cpu.instructions / DirectWindow.instructionsPerCall {
            isClosed = true
            release()
        }
    }

    private func open() {
        guard lguest_direct_reserve() != 0 else {
            isClosed = true
            return
        }
        isReserved = true
        stateBytes = (Int(end - first) + 0xFFF) & ~0xFFF
        // Demand-zero, as most of a large guest is not touched.
        guard let bytes = lguest_zero_pages(stateBytes) else {
            release()
            isClosed = true
            return
        }
        state = bytes.bindMemory(to: UInt8.self, capacity: stateBytes)
        isOpen = true
    }

    /// Gives everything back.
    func release() {
        isOpen = false
        // SAFETY: both were made by `open`; generated code is not running.
        if let state { lguest_zero_pages_release(state, stateBytes) }
        state = nil
        readOnly = 0
        if isReserved { lguest_direct_release() }
        isReserved = false
    }

    /// Whether `page` lies in the linear map.
    @inline(__always)
    func covers(_ page: UInt32) -> Bool { page >= first && page < end }

    /// The kernel has come to a page that is not here, or not with the right to write, and which is in the flat tables
    /// now. Whether it is here from now on.
    func miss(_ page: UInt32, _ cpu: CPU) -> Bool {
        guard isOpen, covers(page), let state else { return false }
        let rights = rights(page)
        guard rights != 0 else { return false }
        if state[Int(page - first)] == rights { return true }
        var next = page + 1
        let limit = min(end, page + DirectWindow.ahead)
        while next < limit, state[Int(next - first)] == 0 {
            if tables.kernelRights(next) == 0 { cpu.fillAhead(next << 12) }
            if self.rights(next) != rights { break }
            next += 1
        }
        calls += 1
        let count = next - page
        guard readOnly < DirectWindow.readOnlyLimit,
            lguest_window_map(
                nil, page, Int(count), memory.file, UInt64(page - origin) << 12, rights == 2 ? 1 : 0) == 0
        else {
            abandon()
            return false
        }
        for n in page..<next { set(n, rights) }
        pagesMapped += UInt64(count)
        return true
    }

    /// What the flat tables let the kernel do with a page of RAM at its place in the linear map.
    private func rights(_ page: UInt32) -> UInt8 {
        let host = UInt(bitPattern: memory.base) &+ UInt(page - origin) << 12
        return tables.kernelRights(page, expecting: host)
    }

    private func set(_ page: UInt32, _ rights: UInt8) {
        // SAFETY: callers pass pages of the linear map, for which `state` has an entry each.
        guard let state else { return }
        let index = Int(page - first)
        if state[index] == 1 { readOnly -= 1 }
        if rights == 1 { readOnly += 1 }
        state[index] = rights
    }

    /// Takes pages out.
    func unmap(_ page: UInt32, count: UInt64) {
        guard isOpen, let state else { return }
        let start = max(page, first)
        let stop = UInt32(min(UInt64(page) + count, UInt64(end)))
        guard start < stop else { return }
        var from: UInt32?
        var to = start
        for n in start..<stop where state[Int(n - first)] != 0 {
            set(n, 0)
            pagesUnmapped += 1
            if from == nil { from = n }
            to = n
        }
        guard let from else { return }
        calls += 1
        // Pages between two mapped ones are inaccessible already: one call does for all.
        if lguest_window_unmap(nil, from, Int(to - from + 1)) != 0 { abandon() }
    }

    func unmapAll() { unmap(first, count: UInt64(end - first)) }

    /// Takes away the right to write the page frame at host address `frame`.
    func revokeWrites(host frame: UInt) {
        guard isOpen, let state else { return }
        let number = (frame &- UInt(bitPattern: memory.base)) >> 12
        guard number < UInt(1 << 20) else { return }
        let page = origin &+ UInt32(number)
        guard covers(page), state[Int(page - first)] == 2 else { return }
        calls += 1
        if lguest_window_protect(nil, page, 1, 0) != 0 {
            abandon()
        } else {
            set(page, 1)
        }
    }

    /// The host refuses what it has to do: all pages go at once, for which it needs nothing more. Generated code may
    /// be running; whatever it does here faults from now on.
    private func abandon() {
        isClosed = true
        isOpen = false
        guard lguest_window_unmap(nil, first, Int(end - first)) == 0 else {
            preconditionFailure("the host does not take back a mapping")
        }
    }
}

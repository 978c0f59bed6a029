// SPDX-License-Identifier: Apache-2.0
//
// What the page tables said of the kernel's linear map when translations in it were filled. A guest that flushes
// everything has seldom changed that map; what its tables still say as before need not be forgotten, and found again
// page by page. Kernels with high memory flush everything for each page of it that they look at.

import CHost
import GuestMemory

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The entries that a walk came by.
public struct TablePath: Equatable, Sendable {
    /// Entry of the page directory, with Accessed set.
    var directory: UInt64
    /// Physical address of the entry in the page table; nil with a large page.
    var entry: UInt64?
    /// Of an entry: 4, or 8 with PAE.
    var entryBytes: Int
}

/// Regions of 512 pages, which are one page table with PAE and half of one without.
final class LinearRegions {
    static let pages: UInt32 = 512
    private static let count = TranslationTables.pages / Int(pages)
    private static let tableBytes = 8 * Int(pages)

    private enum State {
        /// No translation has been filled.
        case empty
        /// All that have been filled agree with the copy.
        case known
        /// Entries have changed while some were filled.
        case changed
    }

    private struct Region {
        var state = State.empty
        /// To the first page's entry.
        var path = TablePath(directory: 0, entry: nil, entryBytes: 4)

        /// Of its entries.
        var bytes: Int { Int(LinearRegions.pages) * path.entryBytes }
    }

    private let memory: GuestMemory
    @exclusivity(unchecked) private var regions = [Region](repeating: Region(), count: count)
    /// Those that are not empty.
    @exclusivity(unchecked) private var used: [Int] = []
    /// A copy of the entries of each region. Demand-zero; without it nothing is kept.
    private let copies: UnsafeMutableRawPointer?

    init(memory: GuestMemory) {
        self.memory = memory
        copies = lguest_zero_pages(LinearRegions.count * LinearRegions.tableBytes)
    }

    deinit {
        // SAFETY: made by `init` with this size.
        if let copies {
            lguest_zero_pages_release(copies, LinearRegions.count * LinearRegions.tableBytes)
        }
    }

    /// A translation of `page` is filled that was found by `path`, or without tables.
    func note(_ page: UInt32, _ path: TablePath?) {
        let number = Int(page / LinearRegions.pages)
        switch regions[number].state {
        case .empty:
            used.append(number)
            regions[number].state = .changed
            if let path { remember(number, path) }
        case .known:
            if let path, agrees(number, path) { return }
            regions[number].state = .changed
        case .changed: break
        }
    }

    private func remember(_ number: Int, _ path: TablePath) {
        guard let copies else { return }
        let region = Region(state: .known, path: LinearRegions.first(path))
        if let table = region.path.entry {
            guard memory.contains(table, length: UInt64(region.bytes)) else { return }
            // SAFETY: the table is in RAM, as just seen; the copy has room for the larger kind.
            (copies + number * LinearRegions.tableBytes)
                .copyMemory(from: memory.base + Int(table), byteCount: region.bytes)
        }
        regions[number] = region
    }

    /// The path to the first page of the region.
    private static func first(_ path: TablePath) -> TablePath {
        var path = path
        path.entry = path.entry.map { $0 & ~UInt64(Int(pages) * path.entryBytes - 1) }
        return path
    }

    /// Whether the entries of a walk are the ones that are known. Accessed and Dirty may have been set since: what was
    /// filled before that allows less.
    private func agrees(_ number: Int, _ path: TablePath) -> Bool {
        let known = regions[number].path
        guard let copies, known == LinearRegions.first(path) else { return false }
        guard let table = known.entry, let address = path.entry else { return true }
        // SAFETY: the table is in RAM, as seen when it was copied, and entries are aligned to their size.
        let (there, copy) = (
            memory.base + Int(address), copies + number * LinearRegions.tableBytes + Int(address - table)
        )
        func word(_ entry: UnsafeRawPointer) -> UInt64 {
            path.entryBytes == 8 ? entry.load(as: UInt64.self) : UInt64(entry.load(as: UInt32.self))
        }
        let (new, old) = (word(there), word(copy))
        guard old & ~new == 0, new & ~old & ~(PageEntry.accessed | PageEntry.dirty) == 0 else { return false }
        copy.copyMemory(from: there, byteCount: path.entryBytes)
        return true
    }

    /// Empties the regions whose tables do not say what they said, and returns them. `directory` is the page
    /// directory's entry for a linear address now.
    func dropChanged(directory: (UInt32) -> UInt64?) -> [Int] {
        var dropped: [Int] = []
        for number in used where !holds(number, directory) {
            regions[number].state = .empty
            dropped.append(number)
        }
        if !dropped.isEmpty { used.removeAll { regions[$0].state == .empty } }
        return dropped
    }

    private func holds(_ number: Int, _ directory: (UInt32) -> UInt64?) -> Bool {
        let region = regions[number]
        guard region.state == .known, let copies,
            directory(UInt32(number) * LinearRegions.pages << 12) == region.path.directory
        else { return false }
        guard let table = region.path.entry else { return true }
        // SAFETY: the table is in RAM, as seen when it was copied, and its copy has that size.
        return memcmp(memory.base + Int(table), copies + number * LinearRegions.tableBytes, region.bytes) == 0
    }

    /// Whether translations of `page` may be there.
    @inline(__always)
    func isUsed(_ page: UInt32) -> Bool { regions[Int(page / LinearRegions.pages)].state != .empty }

    func removeAll() {
        for number in used { regions[number].state = .empty }
        used.removeAll(keepingCapacity: true)
    }
}

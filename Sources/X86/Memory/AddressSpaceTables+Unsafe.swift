// SPDX-License-Identifier: Apache-2.0
//
// The flat tables of one address space: six of them, by access and privilege, in one stretch of demand-zero
// memory.

import CHost
import GuestMemory

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class AddressSpaceTables {
    static let tableCount = 6
    static let tableBytes = TranslationTables.pages * 8

    public let kernelRead: UnsafeMutablePointer<UInt>
    public let kernelWrite: UnsafeMutablePointer<UInt>
    public let userRead: UnsafeMutablePointer<UInt>
    public let userWrite: UnsafeMutablePointer<UInt>
    /// For instruction fetches, so that no-execute pages stay out.
    public let kernelExecute: UnsafeMutablePointer<UInt>
    public let userExecute: UnsafeMutablePointer<UInt>
    private let block: UnsafeMutableRawPointer
    /// Pages (linear address >> 12) with a filled entry, shared ones apart.
    let journal = PageJournal()
    /// Physical address of the top-level table, once there is one.
    @exclusivity(unchecked) public internal(set) var root: UInt32?
    @exclusivity(unchecked) var lastUse: UInt64 = 0
    /// Place among those that are kept.
    @exclusivity(unchecked) var number = 0
    /// What an engine keeps for this address space.
    @exclusivity(unchecked) public var attachment: AnyObject?
    /// Where the engine has mapped the address space for user code, or 0.
    @exclusivity(unchecked) public var window: UInt = 0
    /// How much user code has run here, in the engine's measure.
    @exclusivity(unchecked) public var heat = 0
    /// Set when a page that has been fetched from is forgotten, or when an address space that does not share the kernel's
    /// becomes the current one. Whoever relies on where code was clears it.
    @exclusivity(unchecked) public var codeHasMoved = true
    /// Everything has been flushed since this address space was the current one.
    @exclusivity(unchecked) var isUnchecked = false
    @exclusivity(unchecked) var keeping = KeepingRule()
    /// How often the engine has given up its window here.
    @exclusivity(unchecked) public var windowDrops = 0

    /// Pages that have had an entry since the last flush; some may have none any more.
    public var touchedPages: UnsafeBufferPointer<UInt32> { journal.all }

    init() throws(GuestMemoryError) {
        block = try AddressSpaceTables.reserve(
            bytes: AddressSpaceTables.tableCount * AddressSpaceTables.tableBytes)
        let pages = TranslationTables.pages
        let entries = block.bindMemory(to: UInt.self, capacity: AddressSpaceTables.tableCount * pages)
        kernelRead = entries
        kernelWrite = entries + pages
        userRead = entries + 2 * pages
        userWrite = entries + 3 * pages
        kernelExecute = entries + 4 * pages
        userExecute = entries + 5 * pages
    }

    deinit {
        // SAFETY: made by `init` with these sizes, used by nobody after the owner is gone.
        munmap(block, AddressSpaceTables.tableCount * AddressSpaceTables.tableBytes)
    }

    /// Demand-zero memory.
    static func reserve(bytes: Int) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        // SAFETY: an anonymous mapping at an address of the host's choice; checked before use.
        guard let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), mapped != MAP_FAILED
        else {
            throw .cannotAllocate(bytes: UInt64(bytes), errno: errno)
        }
        // Huge pages would turn a sparse table into 8 MiB of real memory.
        madvise(mapped, bytes, MADV_NOHUGEPAGE)
        return mapped
    }

    /// Sparse memory for the part that all address spaces share, or -1.
    static func makeSharedMemory() -> Int32 {
        lguest_memory_file("lguest-tables", tableCount * tableBytes)
    }

    /// Makes the entries from `page` (a multiple of 512) up the ones in `memory`. Whether that worked; if not,
    /// the tables are as they were or empty there.
    func share(from page: UInt32, memory: Int32) -> Bool {
        let start = Int(page) * 8
        let length = AddressSpaceTables.tableBytes - start
        for table in 0..<AddressSpaceTables.tableCount {
            let offset = table * AddressSpaceTables.tableBytes + start
            // SAFETY: replaces a page-aligned part of this object's own mapping.
            let mapped = mmap(
                block + offset, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                memory,
                off_t(offset))
            guard mapped != MAP_FAILED else { return false }
        }
        return true
    }

    @inline(__always)
    func clear(_ index: Int) {
        // SAFETY: callers pass page numbers below 2^20. Without this entry there is no other; and a look does not
        // make the host provide memory.
        guard kernelRead[index] != 0 else { return }
        if kernelExecute[index] != 0 { codeHasMoved = true }
        kernelRead[index] = 0
        kernelWrite[index] = 0
        userRead[index] = 0
        userWrite[index] = 0
        kernelExecute[index] = 0
        userExecute[index] = 0
    }

    func flush() {
        for page in journal.all { clear(Int(page)) }
        journal.removeAll()
    }

    /// Forgets the pages in `[first, first + count)`, looking at the journal only.
    func flush(first: UInt32, count: UInt32) {
        journal.filter { page in
            // SAFETY: journalled pages are below 2^20.
            if page &- first < count { clear(Int(page)) }
            return kernelRead[Int(page)] != 0
        }
    }

    /// Takes away the right to write the frame at `host` from the pages of a journal.
    func revokeWrites(host: UInt, _ journal: PageJournal) {
        for number in journal.all { revokeWrites(host: host, page: Int(number)) }
    }

    /// The same for one page.
    @inline(__always)
    func revokeWrites(host: UInt, page: Int) {
        // SAFETY: as above.
        if kernelWrite[page] == host &- (UInt(page) << 12) {
            kernelWrite[page] = 0
            userWrite[page] = 0
        }
    }
}

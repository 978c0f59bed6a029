// SPDX-License-Identifier: Apache-2.0
//
// Flat translation tables: one 8-byte entry for each of the 2^20 pages of a 32-bit address space,
// separately for reads, writes and fetches and for user and supervisor. An entry is the host address of the
// page minus the page's linear address, so that `entry + linear address` is where the byte is;
// zero sends the access to the slow path. A table is 8 MiB of demand-zero memory: what the guest
// does not use costs nothing. A journal of filled entries makes flushing cost what was filled.

import GuestMemory

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class TranslationTables {
    static let pages = 1 << 20
    static let count = 7
    static let tableBytes = pages * 8
    static let journalCapacity = 1 << 15

    public let kernelRead: UnsafeMutablePointer<UInt>
    public let kernelWrite: UnsafeMutablePointer<UInt>
    public let userRead: UnsafeMutablePointer<UInt>
    public let userWrite: UnsafeMutablePointer<UInt>
    /// For instruction fetches, so that no-execute pages stay out.
    public let kernelExecute: UnsafeMutablePointer<UInt>
    public let userExecute: UnsafeMutablePointer<UInt>
    /// Never filled: stands in for the others when each access has to be looked at.
    public let empty: UnsafeMutablePointer<UInt>
    private let block: UnsafeMutableRawPointer
    /// Pages (linear address >> 12) with a filled entry; `private` ones lie below `sharedBase`.
    private let privateJournal: UnsafeMutablePointer<UInt32>
    private let sharedJournal: UnsafeMutablePointer<UInt32>
    private var privateCount = 0
    private var sharedCount = 0
    /// First page that all address spaces share.
    private var sharedPage: UInt32 = UInt32(pages)

    init() throws(GuestMemoryError) {
        let bytes = TranslationTables.count * TranslationTables.tableBytes
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        // SAFETY: an anonymous mapping at an address of the host's choice; checked before use.
        guard let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), mapped != MAP_FAILED
        else {
            throw .cannotAllocate(bytes: UInt64(bytes), errno: errno)
        }
        // Huge pages would turn a sparse table into 8 MiB of real memory.
        madvise(mapped, bytes, MADV_NOHUGEPAGE)
        block = mapped
        let entries = mapped.bindMemory(
            to: UInt.self, capacity: TranslationTables.count * TranslationTables.pages)
        kernelRead = entries
        kernelWrite = entries + TranslationTables.pages
        userRead = entries + 2 * TranslationTables.pages
        userWrite = entries + 3 * TranslationTables.pages
        kernelExecute = entries + 4 * TranslationTables.pages
        userExecute = entries + 5 * TranslationTables.pages
        empty = entries + 6 * TranslationTables.pages
        privateJournal = .allocate(capacity: TranslationTables.journalCapacity)
        sharedJournal = .allocate(capacity: TranslationTables.journalCapacity)
    }

    deinit {
        // SAFETY: made by `init` with these sizes, used by nobody after the owner is gone.
        munmap(block, TranslationTables.count * TranslationTables.tableBytes)
        privateJournal.deallocate()
        sharedJournal.deallocate()
    }

    /// Declares linear addresses from `base` up as the same in all address spaces; drops everything.
    public func setSharedBase(_ base: UInt32) {
        flushAll()
        sharedPage = base == UInt32.max ? UInt32(TranslationTables.pages) : base >> 12
    }

    /// Fills the entries of `page` that the access rights allow. `host` is the host address of the
    /// page's first byte.
    func fill(page: UInt32, host: UInt, user: Bool, write: Bool, execute: Bool) {
        let index = Int(page & 0xFFFFF)
        let entry = host &- (UInt(page) << 12)
        // SAFETY: `index` is below 2^20, the capacity of each table; the journals are flushed
        // before they are full.
        if kernelRead[index] == 0 {
            if page >= sharedPage {
                if sharedCount == TranslationTables.journalCapacity { flushAll() }
                sharedJournal[sharedCount] = page
                sharedCount += 1
            } else {
                if privateCount == TranslationTables.journalCapacity { flushPrivate() }
                privateJournal[privateCount] = page
                privateCount += 1
            }
        }
        // Whatever may be written or fetched may be read, so a page without this entry has none.
        kernelRead[index] = entry
        if user { userRead[index] = entry }
        if write {
            kernelWrite[index] = entry
            if user { userWrite[index] = entry }
        }
        if execute {
            kernelExecute[index] = entry
            if user { userExecute[index] = entry }
        }
    }

    /// Forgets one page (its journal line stays; flushing it again is harmless).
    public func flush(page: UInt32) {
        clear(Int(page & 0xFFFFF))
    }

    @inline(__always)
    private func clear(_ index: Int) {
        // SAFETY: callers pass page numbers below 2^20.
        kernelRead[index] = 0
        kernelWrite[index] = 0
        userRead[index] = 0
        userWrite[index] = 0
        kernelExecute[index] = 0
        userExecute[index] = 0
    }

    /// Forgets everything below the shared base.
    public func flushPrivate() {
        // SAFETY: journal lines below the count are initialised page numbers below 2^20.
        for line in 0..<privateCount { clear(Int(privateJournal[line])) }
        privateCount = 0
    }

    /// Forgets everything.
    public func flushAll() {
        flushPrivate()
        for line in 0..<sharedCount { clear(Int(sharedJournal[line])) }
        sharedCount = 0
    }

    /// Forgets the pages in `[first, first + count)`.
    public func flush(first: UInt32, count: UInt32) {
        if count > 4096 {
            flushAll()
        } else {
            for page in 0..<count { clear(Int((first &+ page) & 0xFFFFF)) }
        }
    }

    /// Takes away write access to the page frame at host address `host` wherever it is mapped, so
    /// that the next store to it takes the slow path.
    func revokeWrites(host: UInt) {
        revoke(privateJournal, privateCount, host)
        revoke(sharedJournal, sharedCount, host)
    }

    private func revoke(_ journal: UnsafeMutablePointer<UInt32>, _ count: Int, _ host: UInt) {
        for line in 0..<count {
            // SAFETY: as in `flushPrivate`.
            let page = Int(journal[line])
            if kernelWrite[page] == host &- (UInt(page) << 12) {
                kernelWrite[page] = 0
                userWrite[page] = 0
            }
        }
    }
}

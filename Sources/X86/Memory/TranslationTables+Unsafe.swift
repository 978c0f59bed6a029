// SPDX-License-Identifier: Apache-2.0
//
// Flat translation tables: one 8-byte entry for each of the 2^20 pages of a 32-bit address space,
// separately for reads, writes and fetches and for user and supervisor. An entry is the host address of the
// page minus the page's linear address, so that `entry + linear address` is where the byte is;
// zero sends the access to the slow path. A table is 8 MiB of demand-zero memory: what the guest
// does not use costs nothing. A journal of filled entries makes flushing cost what was filled.
//
// A guest that tells us which of its address spaces it changes (a paravirtual one) has tables for each of the
// last `spaceLimit` address spaces, so that a switch between them forgets nothing. The part that they all
// share, the kernel's, is the same memory in all of them.

import GuestMemory

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class TranslationTables {
    static let pages = 1 << 20
    /// Address spaces whose translations are kept.
    static let spaceLimit = 24

    /// The tables of the address space that the processor is in.
    @exclusivity(unchecked) public private(set) var current: AddressSpaceTables
    @exclusivity(unchecked) private var spaces: [AddressSpaceTables]
    /// Their roots, in the same order, or all ones; a search that touches nothing else.
    @exclusivity(unchecked) private var spaceRoots: [UInt64] = [noRoot]
    private static let noRoot = UInt64.max
    /// Never filled: stands in for the others when each access has to be looked at.
    public let empty: UnsafeMutablePointer<UInt>
    /// Pages (linear address >> 12) with a filled entry that all address spaces share.
    private let sharedJournal = PageJournal()
    @exclusivity(unchecked) private var sharedKeeping = KeepingRule()
    /// The same for pages of RAM at their place in the kernel's linear map, which need no search.
    private let linearJournal: PageJournal
    /// What the page tables said of those.
    private let linearRegions: LinearRegions
    /// Host address of the RAM, and its pages.
    private let ram: UInt
    private let ramPages: UInt32
    /// Page that physical address 0 has in the kernel's linear map, which begins at the shared base or, where nothing is
    /// said to be shared, consists of global pages.
    @exclusivity(unchecked) private var linearOrigin: UInt32 = UInt32(pages)
    /// Where the last global pages were, seen from physical address 0, and how many in a row.
    @exclusivity(unchecked) private var globalOrigin: UInt32 = 0
    @exclusivity(unchecked) private var globalCount = 0
    /// Global pages in a row that show where the linear map is, and what physical address 0 is aligned to there, since
    /// kernels use large pages (2 MiB in PAE's). Other stretches of RAM in a row, such as a file in memory, are not.
    private static let globalsToBelieve = 16
    private static let pagesOfLargePage: UInt32 = 512
    /// First page that all address spaces share.
    @exclusivity(unchecked) private var sharedPage: UInt32 = UInt32(pages)
    /// Descriptor of the memory behind the shared part, or -1.
    private var sharedMemory: Int32 = -1
    @exclusivity(unchecked) private var useCount: UInt64 = 0
    /// Whether another address space has become the current one, for `takeCodeMoved`.
    @exclusivity(unchecked) private var spaceHasChanged = false
    /// Told which translations are forgotten; for what else is made of them.
    // SAFETY: whoever sets it takes it back before it goes.
    @exclusivity(unchecked) public unowned(unsafe) var observer: (any TranslationObserver)?

    init(memory: GuestMemory) throws(GuestMemoryError) {
        ram = UInt(bitPattern: memory.base)
        ramPages = UInt32(memory.pageCount)
        linearJournal = PageJournal(capacity: memory.pageCount)
        linearRegions = LinearRegions(memory: memory)
        current = try AddressSpaceTables()
        spaces = [current]
        empty = try AddressSpaceTables.reserve(bytes: AddressSpaceTables.tableBytes)
            .bindMemory(to: UInt.self, capacity: TranslationTables.pages)
    }

    deinit {
        // SAFETY: made by `init` with these sizes, used by nobody after the owner is gone.
        munmap(empty, AddressSpaceTables.tableBytes)
        if sharedMemory >= 0 { close(sharedMemory) }
    }

    // Address spaces

    /// Declares linear addresses from `base` up as the same in all address spaces; drops everything.
    /// `base` is rounded up to 2 MiB: below that, a table's page would have private entries, too.
    public func setSharedBase(_ base: UInt32) {
        flushAll()
        current.root = nil
        spaces = [current]
        current.number = 0
        spaceRoots = [TranslationTables.noRoot]
        guard base != UInt32.max, base <= 0xFFE0_0000 else {
            sharedPage = UInt32(TranslationTables.pages)
            linearOrigin = sharedPage
            return
        }
        let page = (base &+ 0x1F_FFFF) >> 12 & ~0x1FF
        if sharedMemory < 0 { sharedMemory = AddressSpaceTables.makeSharedMemory() }
        // Without such memory there is one set of tables, which is right, but forgets more.
        if sharedMemory >= 0, current.share(from: page, memory: sharedMemory) {
            sharedPage = page
            linearOrigin = base >> 12
        }
    }

    /// Pages of linear addresses where the kernel has its linear map of the RAM, and where that would begin with
    /// physical address 0. Empty where it is not known.
    public var linearMap: (first: UInt32, end: UInt32, origin: UInt32) {
        let pages = UInt32(TranslationTables.pages)
        guard linearOrigin < pages else { return (pages, pages, pages) }
        let first = sharedPage < pages ? sharedPage : linearOrigin
        return (first, min(pages, linearOrigin + ramPages), linearOrigin)
    }

    /// A global page of a guest that does not say what is shared: from such pages shows where its linear map is.
    private func noteGlobal(_ page: UInt32, _ host: UInt) {
        guard host &- ram < UInt(ramPages) << 12 else { return }
        let origin = page &- UInt32((host &- ram) >> 12)
        guard origin % TranslationTables.pagesOfLargePage == 0 else { return }
        globalCount = origin == globalOrigin ? globalCount + 1 : 1
        globalOrigin = origin
        guard globalCount >= TranslationTables.globalsToBelieve, origin < UInt32(TranslationTables.pages),
            origin != linearOrigin
        else { return }
        flushAll()
        linearOrigin = origin
    }

    /// What the kernel may do with a page, by the tables: 0 nothing, 1 read, 2 write. `expecting`: only if the page is
    /// at this host address, in its place in the linear map, and the same in all address spaces.
    public func kernelRights(_ page: UInt32, expecting host: UInt? = nil) -> UInt8 {
        let index = Int(page & 0xFFFFF)
        // SAFETY: the tables have an entry for each page.
        let entry = current.kernelRead[index]
        guard entry != 0 else { return 0 }
        if let host {
            guard entry &+ UInt(index) << 12 == host, linearJournal.contains(page) else { return 0 }
        }
        return current.kernelWrite[index] == entry ? 2 : 1
    }

    /// Makes the address space whose top-level table is at `root` the current one. Its translations are still
    /// there if it was current not long ago; the caller has said of each change to them since. The caller
    /// selects tables afterwards. `check` sees that address space.
    func activate(root: UInt32, keeping check: TranslationCheck) {
        useCount += 1
        if current.root == root { return }
        let moved = current.codeHasMoved
        spaceHasChanged = true
        defer { if moved || !sharesKernel { current.codeHasMoved = true } }
        if let known = find(root) {
            current = known
        } else if current.root == nil {
            flushPrivate()
            observer?.replaced(current)
        } else {
            current = freeSpace()
        }
        current.root = root
        spaceRoots[current.number] = UInt64(root)
        current.lastUse = useCount
        if current.isUnchecked { keep(current, check) }
    }

    /// Whether all of the kernel is the same in all address spaces.
    private var sharesKernel: Bool {
        sharedPage < UInt32(TranslationTables.pages) && sharedPage == linearOrigin
    }

    /// Where code has moved since the last time of asking.
    func takeCodeMoved() -> CPU.CodeMove {
        guard !current.codeHasMoved else {
            current.codeHasMoved = false
            spaceHasChanged = false
            return .everywhere
        }
        guard spaceHasChanged else { return .nowhere }
        spaceHasChanged = false
        return .inUserPart
    }

    private func find(_ root: UInt32) -> AddressSpaceTables? {
        if current.root == root { return current }
        let wanted = UInt64(root)
        for n in 0..<spaceRoots.count where spaceRoots[n] == wanted { return spaces[n] }
        return nil
    }

    /// Top-level tables of the address spaces whose translations are kept.
    public var roots: [UInt32] { spaces.compactMap(\.root) }

    private func freeSpace() -> AddressSpaceTables {
        if sharedPage < UInt32(TranslationTables.pages) && spaces.count < TranslationTables.spaceLimit,
            let new = try? AddressSpaceTables(), new.share(from: sharedPage, memory: sharedMemory)
        {
            new.number = spaces.count
            spaces.append(new)
            spaceRoots.append(TranslationTables.noRoot)
            return new
        }
        guard sharedPage < UInt32(TranslationTables.pages),
            let oldest = spaces.min(by: { $0.lastUse < $1.lastUse })
        else {
            flushPrivate()
            observer?.replaced(current)
            return current
        }
        flush(oldest)
        observer?.replaced(oldest)
        return oldest
    }

    // Filling

    /// Fills the entries of `page` that the access rights allow. `host` is the host address of the
    /// page's first byte. `global`: survives a change of address space wherever it lies. `path`: the entries that say so.
    func fill(
        page: UInt32, host: UInt, user: Bool, write: Bool, execute: Bool, global: Bool = false,
        path: TablePath? = nil
    ) {
        let index = Int(page & 0xFFFFF)
        let entry = host &- (UInt(page) << 12)
        let tables = current
        let isShared = page >= sharedPage || global
        let isLinear = isShared && host &- ram == UInt(page &- linearOrigin) << 12
        if isLinear { linearRegions.note(page, path) }
        // SAFETY: `index` is below 2^20, the capacity of each table; the journals are flushed
        // before they are full.
        if tables.kernelRead[index] == 0 {
            if isLinear {
                linearJournal.add(page)
            } else if isShared {
                if page < sharedPage { noteGlobal(page, host) }
                if sharedJournal.isFull { flushAll() }
                sharedJournal.add(page)
            } else {
                if tables.journal.isFull { flush(tables) }
                tables.journal.add(page)
            }
        }
        // Whatever may be written or fetched may be read, so a page without this entry has none.
        tables.kernelRead[index] = entry
        if user { tables.userRead[index] = entry }
        if write {
            tables.kernelWrite[index] = entry
            if user { tables.userWrite[index] = entry }
        }
        if execute {
            tables.kernelExecute[index] = entry
            if user { tables.userExecute[index] = entry }
        }
    }

    // Forgetting

    /// Forgets one page of the current address space (its journal line stays; flushing it again is harmless).
    public func flush(page: UInt32) {
        current.clear(Int(page & 0xFFFFF))
        tell(page, 1, current)
    }

    /// Forgets `count` pages from `first` on of the address space at `root`, where it is known; shared ones in all.
    public func flush(first: UInt32, count: UInt32, root: UInt32) {
        let end = UInt64(first) + UInt64(count)
        if end > UInt64(sharedPage) {
            flush(first: max(first, sharedPage), count: UInt32(end - UInt64(max(first, sharedPage))))
        }
        guard first < sharedPage, let space = find(root) else { return }
        let privateCount = UInt32(min(end, UInt64(sharedPage)) - UInt64(first))
        if privateCount > 32 {
            flush(space, first, privateCount)
        } else {
            for page in 0..<privateCount { space.clear(Int((first &+ page) & 0xFFFFF)) }
            tell(first, privateCount, space)
        }
    }

    /// Forgets what lies in a large range, by the journal.
    private func flush(_ space: AddressSpaceTables, _ first: UInt32, _ count: UInt32) {
        space.flush(first: first, count: count)
        tell(first, count, space)
    }

    private func flush(_ space: AddressSpaceTables) {
        if sharedPage == UInt32(TranslationTables.pages) && linearOrigin < sharedPage {
            // A page of the linear map that was global once and is not now.
            for page in space.journal.all where page >= linearOrigin && linearJournal.contains(page) {
                observer?.forgottenShared(first: page, count: 1)
            }
        }
        space.flush()
        space.isUnchecked = false
        if space.window != 0 { observer?.forgotten(page: 0, count: sharedPage, of: space) }
    }

    @inline(__always)
    private func tell(_ page: UInt32, _ count: UInt32, _ space: AddressSpaceTables) {
        if space.window != 0 { observer?.forgotten(page: page, count: count, of: space) }
        let end = UInt64(page) + UInt64(count)
        let shared = min(sharedPage, linearOrigin)
        if end > UInt64(shared) {
            let first = max(page, shared)
            observer?.forgottenShared(first: first, count: end - UInt64(first))
            for other in spaces where other !== space && other.window != 0 {
                observer?.forgotten(page: page, count: count, of: other)
            }
        }
    }

    /// Forgets what the page tables do not say any more, below the shared base in the current address space.
    func flushPrivate(keeping check: TranslationCheck) { keep(current, check) }

    /// Forgets everything below the shared base in the current address space.
    public func flushPrivate() { flush(current) }

    /// Forgets everything.
    public func flushAll() {
        for space in spaces { flush(space) }
        for page in sharedJournal.all { current.clear(Int(page)) }
        sharedJournal.removeAll()
        for page in linearJournal.all { current.clear(Int(page)) }
        linearJournal.removeAll()
        linearRegions.removeAll()
        observer?.forgottenShared()
    }

    /// Forgets everything but what the page tables still say. Other address spaces are looked at when they become the
    /// current one.
    func flushAll(keeping check: TranslationCheck) {
        for space in spaces where space !== current { space.isUnchecked = true }
        keep(current, check)
        let keepsShared = sharedKeeping.keeps(sharedJournal.count)
        dropChanged(from: sharedJournal, of: current) { page in
            keepsShared && check.holds(page, in: current, isGlobal: page < sharedPage ? true : nil)
        }
        let dropped = linearRegions.dropChanged(directory: check.directory)
        guard !dropped.isEmpty else { return }
        linearJournal.filter { page in
            if linearRegions.isUsed(page) { return true }
            current.clear(Int(page))
            return false
        }
        for number in dropped {
            observer?.forgottenShared(
                first: UInt32(number) * LinearRegions.pages, count: UInt64(LinearRegions.pages))
        }
    }

    /// Forgets those of an address space's own pages that its page tables do not say any more.
    private func keep(_ space: AddressSpaceTables, _ check: TranslationCheck) {
        if space.keeping.keeps(space.journal.count) {
            space.isUnchecked = false
            dropChanged(from: space.journal, of: space) { check.holds($0, in: space, isGlobal: false) }
        } else {
            flush(space)
        }
    }

    private func dropChanged(
        from journal: PageJournal, of space: AddressSpaceTables, unless holds: (UInt32) -> Bool
    ) {
        var first: UInt32 = 0
        var count: UInt32 = 0
        journal.filter { page in
            // SAFETY: journalled pages are below 2^20.
            if space.kernelRead[Int(page)] == 0 { return false }
            if holds(page) { return true }
            space.clear(Int(page))
            // Neighbours are forgotten together.
            if count > 0 && page == first + count {
                count += 1
            } else {
                if count > 0 { tell(first, count, space) }
                (first, count) = (page, 1)
            }
            return false
        }
        if count > 0 { tell(first, count, space) }
    }

    /// Forgets the pages in `[first, first + count)` of the current address space.
    public func flush(first: UInt32, count: UInt32) {
        if count > 4096 {
            flushAll()
        } else {
            for page in 0..<count { current.clear(Int((first &+ page) & 0xFFFFF)) }
            tell(first, count, current)
        }
    }

    /// Takes away write access to the page frame at host address `host` wherever it is mapped, so
    /// that the next store to it takes the slow path.
    func revokeWrites(host: UInt) {
        for space in spaces { space.revokeWrites(host: host, space.journal) }
        current.revokeWrites(host: host, sharedJournal)
        let linear = UInt64(linearOrigin) + UInt64((host &- ram) >> 12)
        if linear < UInt64(TranslationTables.pages) {
            current.revokeWrites(host: host, page: Int(linear))
        }
        observer?.writesRevoked(host: host)
    }
}

/// Told of translations that are forgotten. Pages count in units of 4096 bytes of linear address.
public protocol TranslationObserver: AnyObject {
    /// Pages `[page, page + count)` of one address space.
    func forgotten(page: UInt32, count: UInt32, of space: AddressSpaceTables)
    /// The tables of this address space are empty and will be another's.
    func replaced(_ space: AddressSpaceTables)
    /// Everything that all address spaces share.
    func forgottenShared()
    /// Pages from `first` on that all address spaces share.
    func forgottenShared(first: UInt32, count: UInt64)
    /// The page frame at this host address may not be written directly any more.
    func writesRevoked(host: UInt)
}

// SPDX-License-Identifier: Apache-2.0
//
// Finds translated blocks by host address (that is, by guest-physical address) and linear address, links
// them, and forgets exactly those whose bytes are overwritten.

import CHost
import GuestMemory
import X86

final class TranslationCache: CodeWriteObserver {
    let code: CodeCache
    let memory: GuestMemory
    @exclusivity(unchecked) var blocks = Arena<TranslatedBlock>()
    @exclusivity(unchecked) var links = Arena<Link>()
    @exclusivity(unchecked) var accesses = Arena<AccessRecord>()
    @exclusivity(unchecked) var helpers = Arena<HelperRecord>()
    /// Instructions that may fault in the window, in ascending order.
    @exclusivity(unchecked) var sites = Arena<lguest_fault_site>()
    /// How the blocks that are to be found, and made, reach memory.
    @exclusivity(unchecked) var path = MemoryPath.flat
    /// For blocks on the direct path, by host address, how much of them goes through the flat tables all the same (see
    /// `BlockEmitter.canUseWindow`).
    @exclusivity(unchecked) var flatness: [UInt: UInt8] = [:]
    @exclusivity(unchecked) var counters = EngineCounters()
    /// First living block of each hash, or -1.
    private let hashHeads: UnsafeMutablePointer<Int32>
    private static let hashCount = 1 << 15
    /// First block of each page frame, or -1.
    private let pageHeads: UnsafeMutablePointer<Int32>
    /// Goes up with each emptying, so that numbers from before are not used.
    private(set) var generation = 0

    init(memory: GuestMemory, codeBytes: Int) throws(HostDenial) {
        self.memory = memory
        code = try CodeCache(codeBytes: codeBytes)
        hashHeads = .allocate(capacity: TranslationCache.hashCount)
        hashHeads.initialize(repeating: -1, count: TranslationCache.hashCount)
        pageHeads = .allocate(capacity: memory.pageCount)
        pageHeads.initialize(repeating: -1, count: memory.pageCount)
        checkedPages = .allocate(capacity: memory.pageCount)
        checkedPages.initialize(repeating: false, count: memory.pageCount)
        memory.codeWriteObserver = self
    }

    deinit {
        if memory.codeWriteObserver === self { memory.codeWriteObserver = nil }
        // SAFETY: allocated in `init`.
        hashHeads.deallocate()
        pageHeads.deallocate()
        checkedPages.deallocate()
        blocks.free()
        links.free()
        accesses.free()
        helpers.free()
        sites.free()
    }

    private func frame(_ host: UInt) -> Int { Int((host &- UInt(bitPattern: memory.base)) >> 12) }

    /// The number of the block at `eip`, whose page has `pageEntry` in the execute table, or nil.
    @inline(__always)
    func find(_ eip: UInt32, pageEntry: UInt) -> Int? {
        // SAFETY: slots are below the table's size.
        let entry = code.jumpTable(path) + CodeCache.slot(eip)
        if entry.pointee.eip == UInt64(eip) && entry.pointee.pageEntry == pageEntry {
            return Int(entry.pointee.block)
        }
        return findByHash(eip, pageEntry: pageEntry)
    }

    @inline(never)
    private func findByHash(_ eip: UInt32, pageEntry: UInt) -> Int? {
        let host = pageEntry &+ UInt(eip)
        // SAFETY: a hash is below `hashCount`.
        var number = hashHeads[TranslationCache.hash(host)]
        while number >= 0 {
            let block = blocks[Int(number)]
            if block.host == host && block.eip == eip && block.path == path {
                enterInTable(Int(number), block)
                return Int(number)
            }
            number = block.nextOfHash
        }
        return nil
    }

    private static func hash(_ host: UInt) -> Int { Int((host ^ host >> 15) & UInt(hashCount - 1)) }

    /// Takes a living block out of those that are found.
    private func unhash(_ number: Int) {
        let block = blocks[number]
        let hash = TranslationCache.hash(block.host)
        // SAFETY: as above.
        if hashHeads[hash] == number {
            hashHeads[hash] = block.nextOfHash
            return
        }
        var previous = Int(hashHeads[hash])
        while previous >= 0 && blocks[previous].nextOfHash != number {
            previous = Int(blocks[previous].nextOfHash)
        }
        if previous >= 0 { blocks[previous].nextOfHash = block.nextOfHash }
    }

    // Pages whose code changes all the time

    /// A block that was overwritten this often makes its page one of those whose blocks look at their own bytes.
    private static let overwritesBeforeChecks: UInt8 = 6
    /// How often blocks were overwritten, by a hash of their address.
    private var overwrites = [UInt8](repeating: 0, count: 1024)
    private let checkedPages: UnsafeMutablePointer<Bool>
    private var hasCheckedPages = false

    private func noteOverwrite(_ block: TranslatedBlock) {
        let slot = Int(truncatingIfNeeded: (block.host ^ block.host >> 10) & 1023)
        overwrites[slot] &+= 1
        guard overwrites[slot] >= TranslationCache.overwritesBeforeChecks else { return }
        overwrites[slot] = 0
        let frame = frame(block.host)
        checkedPages[frame] = true
        hasCheckedPages = true
        // What is there was made without checks.
        var number = Int(pageHeads[frame])
        while number >= 0 {
            retire(number)
            number = Int(blocks[number].next)
        }
        pageHeads[frame] = -1
    }

    /// Whether blocks in the page of `host` check their bytes, so that the page need not be protected.
    func checksItself(_ host: UInt) -> Bool { hasCheckedPages && checkedPages[frame(host)] }

    /// Drops the blocks at `eip`, whose bytes have changed.
    func dropStale(_ eip: UInt32, pageEntry: UInt) {
        let host = pageEntry &+ UInt(eip)
        drop(inPageOf: host) { _, block in block.host == host && block.eip == eip && block.owner < 0 }
    }

    /// Drops block `number`, which is to be made again with more accesses through the flat tables.
    func makeFlatter(_ number: Int) {
        let block = blocks[number]
        let flatness = (flatness[block.host] ?? 0) + 1
        guard block.isAlive, block.owner < 0, flatness <= BlockEmitter.allFlat else { return }
        if self.flatness.count >= 1 << 16 { self.flatness.removeAll() }
        self.flatness[block.host] = flatness
        drop(inPageOf: block.host) { other, _ in other == number }
    }

    /// Drops those blocks of a page that `isMeant`.
    private func drop(inPageOf host: UInt, _ isMeant: (Int, TranslatedBlock) -> Bool) {
        let frame = frame(host)
        var previous = -1
        var number = Int(pageHeads[frame])
        while number >= 0 {
            let block = blocks[number]
            if isMeant(number, block) {
                retire(number)
                if previous < 0 { pageHeads[frame] = block.next } else { blocks[previous].next = block.next }
            } else {
                previous = number
            }
            number = Int(block.next)
        }
    }

    /// Whether generated code may find blocks by itself.
    var usesTable = true

    private func enterInTable(_ number: Int, _ block: TranslatedBlock) {
        guard usesTable else { return }
        // SAFETY: as in `find`.
        code.jumpTable(block.path)[CodeCache.slot(block.eip)] = JumpEntry(
            eip: UInt64(block.eip), pageEntry: block.host &- UInt(block.eip),
            code: code.address(Int(block.savedEntry)), block: UInt64(number))
    }

    /// Puts a finished block where it is found.
    func add(_ block: TranslatedBlock) -> Int {
        var block = block
        let number = blocks.count
        let frame = frame(block.host)
        block.next = pageHeads[frame]
        pageHeads[frame] = Int32(number)
        let hash = TranslationCache.hash(block.host)
        // SAFETY: as in `findByHash`.
        block.nextOfHash = hashHeads[hash]
        hashHeads[hash] = Int32(number)
        blocks.append(block)
        enterInTable(number, block)
        counters.blocksBuilt += 1
        return number
    }

    /// Adds the bytes that block `number` has in a second page, so that overwriting them is noticed.
    func addTail(of number: Int, host: UInt, byteCount: Int) {
        let frame = frame(host)
        var entry = TranslatedBlock(
            host: host, eip: 0, byteCount: Int32(byteCount), savedEntry: 0, liveEntry: 0,
            next: pageHeads[frame])
        entry.owner = Int32(number)
        pageHeads[frame] = Int32(blocks.count)
        blocks[number].tail = Int32(blocks.count)
        blocks.append(entry)
    }

    func empty() {
        counters.flushes += 1
        generation += 1
        for page in 0..<memory.pageCount where pageHeads[page] >= 0 {
            pageHeads[page] = -1
            memory.codePages[page] = 0
        }
        hashHeads.update(repeating: -1, count: TranslationCache.hashCount)
        blocks.removeAll()
        links.removeAll()
        accesses.removeAll()
        helpers.removeAll()
        sites.removeAll()
        if hasCheckedPages { checkedPages.update(repeating: false, count: memory.pageCount) }
        hasCheckedPages = false
        code.empty()
    }

    /// Makes the jump of `link` go to `block`.
    func connect(_ link: Int, to number: Int) {
        let block = blocks[number]
        let from = links[link]
        guard from.target == block.eip, !from.isConnected, block.isAlive,
            from.path == block.path
        else { return }
        if from.expected >= 0 {
            // Once only: a jump that changes its mind goes through the table.
            guard from.fillJump >= 0 else { return }
            code.patch32(at: Int(from.expected), block.eip)
            code.patch32(at: Int(from.tablePlace), (block.eip >> 12) * 8)
            code.patchJump(at: Int(from.fillJump), to: Int(from.stub))
            links[link].fillJump = -1
        }
        if from.guardValue >= 0 {
            code.patch64(at: Int(from.guardValue), UInt64(block.host &- UInt(block.eip)))
        }
        let live = block.wantsLiveFlags ? from.flagsInHost : !from.flagsSaved
        code.patchJump(at: Int(from.jump), to: Int(live ? block.liveEntry : block.savedEntry))
        links[link].next = block.incoming
        links[link].isConnected = true
        blocks[number].incoming = Int32(link)
    }

    // CodeWriteObserver

    func codeBytesChanged(address: UInt32, length: UInt32) {
        let start = UInt64(address)
        let end = start + UInt64(length)
        let base = UInt(bitPattern: memory.base)
        for frame in Int(start >> 12)...Int((end - 1) >> 12) where pageHeads[frame] >= 0 {
            // SAFETY: the caller's range is inside RAM, so the frame is below `pageCount`.
            var previous = -1
            var number = Int(pageHeads[frame])
            while number >= 0 {
                let block = blocks[number]
                let from = UInt64(block.host - base)
                if from < end && start < from + UInt64(block.byteCount) {
                    if block.isAlive { noteOverwrite(block) }
                    retire(number)
                    if previous < 0 {
                        pageHeads[frame] = block.next
                    } else {
                        blocks[previous].next = block.next
                    }
                } else {
                    previous = number
                }
                number = Int(block.next)
            }
            if pageHeads[frame] < 0 || checkedPages[frame] { memory.codePages[frame] = 0 }
        }
    }

    private func retire(_ number: Int) {
        let block = blocks[number]
        guard block.isAlive else { return }
        counters.blocksInvalidated += 1
        blocks[number].isAlive = false
        var link = Int(block.incoming)
        while link >= 0 {
            let from = links[link]
            code.patchJump(at: Int(from.jump), to: Int(from.stub))
            links[link].next = -1
            links[link].isConnected = false
            link = Int(from.next)
        }
        blocks[number].incoming = -1
        if block.owner >= 0 {
            retire(Int(block.owner))
            return
        }
        unhash(number)
        // SAFETY: as in `find`.
        let entry = code.jumpTable(block.path) + CodeCache.slot(block.eip)
        if entry.pointee.block == UInt64(number) { entry.pointee.eip = CodeCache.emptyEIP }
    }
}

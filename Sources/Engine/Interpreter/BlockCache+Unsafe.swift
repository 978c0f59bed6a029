// SPDX-License-Identifier: Apache-2.0
//
// Decoded blocks, found by the host address of their first byte (that is, by guest-physical
// address, so that all address spaces share them) and the code mode. Blocks never cross a page.
//
// Storage is a bump arena that is emptied as a whole when it is full, between two blocks only. A
// block whose bytes are overwritten has all its micro-ops turned into `end`, so that even the block
// that is running stops right behind the store.

import GuestMemory
import X86

/// One decoded block.
struct Block {
    /// Host address of the first byte, and the code mode in the top byte.
    var key: UInt
    var ops: UnsafeMutablePointer<MicroOp>
    var opCount: Int32
    var byteCount: Int32
    /// Next block of the same page, or -1.
    var next: Int32
}

final class BlockCache: CodeWriteObserver {
    static let slotCount = 1 << 15
    static let opCapacity = 1 << 18
    static let blockCapacity = 1 << 16
    static let instructionCapacity = 1 << 17
    static let maximumOps = 64

    /// Direct-mapped: hash of the key to block number + 1.
    private let slots: UnsafeMutablePointer<UInt32>
    let blocks: UnsafeMutablePointer<Block>
    private let ops: UnsafeMutablePointer<MicroOp>
    let instructions: UnsafeMutablePointer<Instruction>
    /// First block of each page frame, or -1.
    private let pageHeads: UnsafeMutablePointer<Int32>
    private let memory: GuestMemory
    private var blockCount = 0
    private var opCount = 0
    private var instructionCount = 0
    var counters = EngineCounters()

    init(memory: GuestMemory) {
        self.memory = memory
        slots = .allocate(capacity: BlockCache.slotCount)
        slots.initialize(repeating: 0, count: BlockCache.slotCount)
        blocks = .allocate(capacity: BlockCache.blockCapacity)
        // One more than the capacity, for the `end` behind the last block.
        ops = .allocate(capacity: BlockCache.opCapacity + 1)
        instructions = .allocate(capacity: BlockCache.instructionCapacity)
        pageHeads = .allocate(capacity: memory.pageCount)
        pageHeads.initialize(repeating: -1, count: memory.pageCount)
        memory.codeWriteObserver = self
    }

    deinit {
        if memory.codeWriteObserver === self { memory.codeWriteObserver = nil }
        // SAFETY: allocated in `init`; all element types are trivial.
        slots.deallocate()
        blocks.deallocate()
        ops.deallocate()
        instructions.deallocate()
        pageHeads.deallocate()
    }

    @inline(__always)
    static func key(_ host: UInt, _ mode: CodeMode) -> UInt { host | UInt(mode.rawValue) << 56 }

    @inline(__always)
    private static func slot(_ key: UInt) -> Int {
        Int(truncatingIfNeeded: (key ^ key >> 15) & UInt(slotCount - 1))
    }

    /// The micro-ops of the block at `host`, or nil.
    @inline(__always)
    func find(_ host: UInt, _ mode: CodeMode) -> UnsafeMutablePointer<MicroOp>? {
        let key = BlockCache.key(host, mode)
        // SAFETY: slot numbers are masked; a slot holds 0 or the number + 1 of a live block.
        let number = slots[BlockCache.slot(key)]
        if number != 0 {
            let block = blocks + Int(number &- 1)
            if block.pointee.key == key { return block.pointee.ops }
        }
        return nil
    }

    /// Looks in the page's own list, for blocks that another one pushed out of their slot.
    func findInPage(_ host: UInt, _ mode: CodeMode) -> UnsafeMutablePointer<MicroOp>? {
        let key = BlockCache.key(host, mode)
        // SAFETY: `host` comes from `CPU.codeAddress`, so its frame is below `pageCount`; list links
        // are numbers of live blocks or -1.
        var number = pageHeads[frame(host)]
        while number >= 0 {
            let block = blocks[Int(number)]
            if block.key == key {
                slots[BlockCache.slot(key)] = UInt32(number) + 1
                return block.ops
            }
            number = block.next
        }
        return nil
    }

    @inline(__always)
    private func frame(_ host: UInt) -> Int { Int((host &- UInt(bitPattern: memory.base)) >> 12) }

    /// Whether a block of maximal size still fits; if not, everything is emptied.
    func makeRoom() {
        if blockCount + 1 >= BlockCache.blockCapacity
            || opCount + BlockCache.maximumOps + 1 >= BlockCache.opCapacity
            || instructionCount + BlockCache.maximumOps >= BlockCache.instructionCapacity
        {
            flush()
        }
    }

    func flush() {
        counters.flushes += 1
        // SAFETY: counts and capacities as allocated.
        slots.update(repeating: 0, count: BlockCache.slotCount)
        for page in 0..<memory.pageCount where pageHeads[page] >= 0 {
            pageHeads[page] = -1
            memory.codePages[page] = 0
        }
        blockCount = 0
        opCount = 0
        instructionCount = 0
    }

    /// Decodes the block at `host` (linear address `eip`) up to a control transfer, the end of the page, or
    /// the maximal length. Returns nil when not even the first instruction lies within the page
    /// or can be decoded: the caller then steps over it one byte source at a time.
    func build(_ host: UInt, _ mode: CodeMode) -> UnsafeMutablePointer<MicroOp>? {
        makeRoom()
        let decoder = Decoder(code32: mode.contains(.code32))
        let flat = mode == .flat32
        // SAFETY: `host` points into a page of guest RAM; `pageEnd` is its end. The arena has room
        // for `maximumOps` more elements (`makeRoom`).
        let pageEnd = (host | 0xFFF) + 1
        var cursor = host
        let first = ops + opCount
        var count = 0
        while count < BlockCache.maximumOps {
            guard let i = decoder.decode(at: cursor, end: pageEnd) else { break }
            var op = Lowering.lower(i, offset: Int(cursor - host), number: count + 1, flat: flat)
            if op.handler == .generic {
                op.extra = UInt32(instructionCount)
                op.condition = i.endsBlock ? 1 : 0
                instructions[instructionCount] = i
                instructionCount += 1
            }
            (first + count).initialize(to: op)
            count += 1
            cursor += UInt(i.length)
            if i.endsBlock || cursor == pageEnd { break }
        }
        guard count > 0 else { return nil }
        let last = MicroOp(
            handler: .end, offset: UInt16(cursor - host), number: UInt16(count + 1), destination: 0,
            source: 0,
            base: 0, index: 0, scale: 0, segment: 0, displacement: 0, immediate: 0, extra: 0, condition: 0)
        (first + count).initialize(to: last)
        opCount += count + 1
        let frame = frame(host)
        let block = Block(
            key: BlockCache.key(host, mode), ops: first, opCount: Int32(count),
            byteCount: Int32(cursor - host),
            next: pageHeads[frame])
        (blocks + blockCount).initialize(to: block)
        pageHeads[frame] = Int32(blockCount)
        slots[BlockCache.slot(block.key)] = UInt32(blockCount) + 1
        blockCount += 1
        counters.blocksBuilt += 1
        counters.instructionsDecoded += UInt64(count)
        return first
    }

    /// Drops the blocks that overlap overwritten bytes.
    func codeBytesChanged(address: UInt32, length: UInt32) {
        let start = UInt64(address)
        let end = start + UInt64(length)
        let lastFrame = Int((end - 1) >> 12)
        for frame in Int(start >> 12)...lastFrame where pageHeads[frame] >= 0 {
            let base = UInt(bitPattern: memory.base)
            // SAFETY: the caller's range is inside RAM; list links are live block numbers or -1.
            var link = -1
            var number = Int(pageHeads[frame])
            while number >= 0 {
                let block = blocks[number]
                let next = Int(block.next)
                let from = UInt64((block.key & 0x00FF_FFFF_FFFF_FFFF) - base)
                if from < end && start < from + UInt64(block.byteCount) {
                    retire(number, block)
                    if link < 0 {
                        pageHeads[frame] = block.next
                    } else {
                        blocks[link].next = block.next
                    }
                } else {
                    link = number
                }
                number = next
            }
            if pageHeads[frame] < 0 { memory.codePages[frame] = 0 }
        }
    }

    private func retire(_ number: Int, _ block: Block) {
        counters.blocksInvalidated += 1
        for n in 0..<Int(block.opCount) {
            block.ops[n].handler = .end
        }
        let slot = BlockCache.slot(block.key)
        if slots[slot] == UInt32(number) + 1 { slots[slot] = 0 }
    }
}

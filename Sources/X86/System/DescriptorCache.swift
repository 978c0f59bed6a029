// SPDX-License-Identifier: Apache-2.0
//
// Checked descriptors. While a paravirtual guest interface holds the descriptor table, it says when an entry
// changes, so what a load of the same selector at the same privilege has found before is still true. Where the table is
// in the guest's memory, the entry there is compared with the one of before. Generated code looks here before it asks the
// processor core.

/// What a load of one selector into a data segment register gives.
public struct CachedSegment: BitwiseCopyable, Sendable {
    /// The selector, with the privilege in bits 16–17 and bit 31 set; 0 is none.
    var key: UInt32 = 0
    /// Bits 0 and 1: `SegmentRegister.simpleAccess`; bit 2: flat and writable.
    var traits: UInt32 = 0
    var register = SegmentRegister()
    private var padding: UInt32 = 0
    /// The descriptor as it was in the guest's table.
    var raw: UInt64 = 0

    static let flat: UInt32 = 4
}

/// What a return to a less privileged code segment loads.
public struct CachedReturn: BitwiseCopyable, Sendable {
    /// CS in the upper half, SS in the lower; 0 is none.
    public internal(set) var key: UInt32 = 0
    /// Privilege before the return.
    public internal(set) var from: UInt8 = 0
    /// Whether the table is in guest memory, in one page: then these are its two descriptors, as they were.
    public internal(set) var isInMemory: UInt32 = 0
    public internal(set) var codeRaw: UInt64 = 0
    public internal(set) var stackRaw: UInt64 = 0
    public internal(set) var code = SegmentRegister()
    public internal(set) var stack = SegmentRegister()
}

extension CPU {
    static let cachedSegments = 32

    /// Keeps what loading `selector` has just put into segment register `index` (ES, DS, FS or GS).
    func cacheSegment(_ index: Int, _ selector: UInt16) {
        guard selector & 4 == 0, selector >> 3 < CPU.cachedSegments else { return }
        var raw: UInt64 = 0
        if !system.usesPrivateGDT {
            // Aligned, a descriptor lies in one page.
            guard system.gdtBase & 7 == 0, UInt32(selector | 7) <= system.gdtLimit,
                let found = try? loadSystem(system.gdtBase &+ UInt32(selector & 0xF8), as: UInt64.self)
            else { return }
            raw = found
        }
        let register = self[segment: index]
        var entry = CachedSegment()
        entry.key = system.segmentKey | UInt32(selector)
        entry.traits = register.simpleAccess
        if register.isFlat && register.isWritable { entry.traits |= CachedSegment.flat }
        entry.register = register
        entry.raw = raw
        system.segmentCache[Int(selector >> 3)] = entry
    }

    /// Forgets what depends on entry `index` of the private descriptor table, which has changed.
    public func descriptorChanged(_ index: Int) {
        system.segmentCache[index & (CPU.cachedSegments - 1)].key = 0
        let key = system.returnCache.key
        if Int(key >> 19) == index || Int(key & 0xFFFF) >> 3 == index { system.returnCache.key = 0 }
    }

    /// Forgets all, because the guest has loaded the address of another table.
    func forgetSegments() {
        for n in 0..<CPU.cachedSegments { system.segmentCache[n].key = 0 }
        system.returnCache.key = 0
    }

    /// After a return to less privilege has been checked and carried out.
    func cacheReturn(from level: UInt8) {
        let code = self[segment: SegmentIndex.cs]
        let stack = self[segment: SegmentIndex.ss]
        guard mode == .flat32, (code.selector | stack.selector) & 4 == 0 else { return }
        var known = CachedReturn(
            key: UInt32(code.selector) << 16 | UInt32(stack.selector), from: level, code: code, stack: stack)
        if !system.usesPrivateGDT {
            guard system.gdtBase & 0xFFF <= 0x1000 - 0x100, code.selector < 0x100, stack.selector < 0x100,
                let first = try? loadSystem(system.gdtBase &+ UInt32(code.selector & 0xF8), as: UInt64.self),
                let second = try? loadSystem(system.gdtBase &+ UInt32(stack.selector & 0xF8), as: UInt64.self)
            else { return }
            known.isInMemory = 1
            known.codeRaw = first
            known.stackRaw = second
        }
        system.returnCache = known
    }
}

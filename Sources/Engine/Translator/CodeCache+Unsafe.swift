// SPDX-License-Identifier: Apache-2.0
//
// Where generated code lives: one stretch of memory in two views, filled from the bottom up and emptied as
// a whole. The jump table (address → code, probed by generated code itself) lies in front of it, so that code
// reaches it relative to its own address.

import CHost

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One line of the jump table.
struct JumpEntry {
    /// Linear address of the block, or all ones.
    var eip: UInt64
    /// What the execute table must hold for the block's page: host address of the page minus its linear address.
    var pageEntry: UInt
    /// Address of the block's code, entered with the flags saved.
    var code: UInt
    /// Number of the block.
    var block: UInt64
}

/// How a block reaches memory: what runs in one way jumps only to what runs in the same.
enum MemoryPath: UInt8 {
    /// By the flat tables.
    case flat
    /// User code in a window.
    case window
    /// The kernel's code, whose linear map is at its own addresses.
    case direct

    static let count = 3
}

final class CodeCache {
    static let jumpEntries = 1 << 14
    static let jumpMask = UInt32(jumpEntries - 1)
    static let jumpBytes = jumpEntries * 32
    static let emptyEIP = UInt64.max

    let size: Int
    let writable: UnsafeMutableRawPointer
    let executable: UnsafeRawPointer
    /// Three tables, by `MemoryPath`.
    let jumps: UnsafeMutablePointer<JumpEntry>
    /// An XSAVE area behind the jump table: 512 bytes and a header of 64, on a boundary of 64.
    var transferArea: UnsafeMutableRawPointer { writable + MemoryPath.count * CodeCache.jumpBytes }
    static let transferBytes = 4096
    /// First byte behind the fixed part (jump table, XSAVE area and thunks).
    private(set) var start = MemoryPath.count * jumpBytes + transferBytes
    /// Next free byte.
    @exclusivity(unchecked) var top = MemoryPath.count * jumpBytes + transferBytes

    /// Throws the host's errno.
    init(codeBytes: Int) throws(HostDenial) {
        size = MemoryPath.count * CodeCache.jumpBytes + CodeCache.transferBytes + (codeBytes + 0xFFF) & ~0xFFF
        var rw: UnsafeMutableRawPointer?
        var rx: UnsafeMutableRawPointer?
        let reason = lguest_code_map(size, &rw, &rx)
        guard reason == 0, let rw, let rx else { throw HostDenial(errno: reason) }
        writable = rw
        executable = UnsafeRawPointer(rx)
        // SAFETY: the mapping is larger than the table and page-aligned.
        jumps = rw.bindMemory(to: JumpEntry.self, capacity: MemoryPath.count * CodeCache.jumpEntries)
        clearJumps()
    }

    deinit {
        // SAFETY: made by `init` with this size; nothing runs in it any more.
        lguest_code_unmap(size, writable, UnsafeMutableRawPointer(mutating: executable))
    }

    func clearJumps() {
        // SAFETY: as bound in `init`.
        jumps.update(
            repeating: JumpEntry(eip: CodeCache.emptyEIP, pageEntry: 0, code: 0, block: 0),
            count: MemoryPath.count * CodeCache.jumpEntries)
    }

    /// The table for blocks of one kind.
    @inline(__always)
    func jumpTable(_ path: MemoryPath) -> UnsafeMutablePointer<JumpEntry> {
        jumps + Int(path.rawValue) * CodeCache.jumpEntries
    }

    /// Lets go of the host's page-table entries for the writable view of code, which is written once.
    func forgetMappedPages() {
        // SAFETY: of shared memory, this drops the view's entries and no contents (madvise(2)).
        madvise(writable, size, MADV_DONTNEED)
    }

    /// Everything below `top` stays for ever.
    func fixThunks() { start = top }

    func empty() {
        top = start
        clearJumps()
    }

    var bytesUsed: Int { top - start }
    var room: Int { size - top }

    @inline(__always)
    func address(_ offset: Int) -> UInt { UInt(bitPattern: executable) &+ UInt(bitPattern: offset) }

    @inline(__always)
    static func slot(_ eip: UInt32) -> Int { Int((eip ^ eip >> 12) & jumpMask) }

    /// Writes a 32-bit displacement at `offset` so that a jump whose displacement it is goes to `target`.
    func patchJump(at offset: Int, to target: Int) {
        // SAFETY: both are offsets of code that this cache holds.
        writable.storeBytes(
            of: Int32(truncatingIfNeeded: target - offset - 4), toByteOffset: offset, as: Int32.self)
    }

    func patch32(at offset: Int, _ value: UInt32) {
        // SAFETY: as above.
        writable.storeBytes(of: value, toByteOffset: offset, as: UInt32.self)
    }

    func patch64(at offset: Int, _ value: UInt64) {
        // SAFETY: as above.
        writable.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    }

    @inline(__always)
    func put<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        // SAFETY: emitters stay below `size` since the translator makes room for a whole block first.
        writable.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    /// Runs `code` (an offset) through the entry thunk until generated code leaves.
    @inline(__always)
    func enter(thunk: Int, state: UnsafeMutableRawPointer, code: UInt) {
        // SAFETY: both are addresses of code that this cache holds.
        lguest_code_enter(executable + thunk, state, UnsafeRawPointer(bitPattern: code))
    }
}

/// The host does not give memory for generated code.
public struct HostDenial: Error, Equatable, Sendable {
    public var errno: Int32
}

// SPDX-License-Identifier: Apache-2.0
//
// Guest-physical RAM: one block `[0, size)` of host memory. Everything that a guest can
// name by a guest-physical address (GPA) is reached through the checked functions here,
// so this file is the boundary that keeps a hostile guest inside its own memory.

import CHost

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Told when RAM that may hold translated code is written by somebody other than the CPU.
public protocol CodeWriteObserver: AnyObject {
    /// `[address, address + length)` (GPA, bytes) has been, or is about to be, overwritten.
    func codeBytesChanged(address: UInt32, length: UInt32)
}

/// The guest's RAM, `size` bytes from GPA 0, little-endian, demand-zero.
///
/// Not thread-safe: it belongs to the thread that runs the virtual CPU.
public final class GuestMemory {
    /// Bytes of memory; a multiple of 4096.
    public let size: UInt64
    /// Bytes of it that the guest is told are RAM. What is above is memory, too: pages that the
    /// guest shares with its devices.
    public let ramSize: UInt64
    /// Host address of GPA 0. Only `+Unsafe` files may use it.
    public let base: UnsafeMutableRawPointer
    /// The file in memory that the RAM is mapped from, so that an engine can map parts of it a second time; -1
    /// where the host does not give one. Only `+Unsafe` files may use it.
    public let file: Int32
    /// One byte for each page frame: not zero when the page holds decoded or translated code,
    /// so that a write to it must be announced. Only `+Unsafe` files may use it.
    public let codePages: UnsafeMutablePointer<UInt8>
    /// Addresses below `size` at which there is no memory all the same. Set before the guest starts.
    @exclusivity(unchecked) public var hole: Range<UInt64> = 0..<0
    /// The code cache, once there is one. Whoever sets it takes it back before it goes.
    // SAFETY: by that contract; a weak reference would make each use of the code cache count references slowly.
    @exclusivity(unchecked) public unowned(unsafe) var codeWriteObserver: (any CodeWriteObserver)?

    /// Number of 4096-byte page frames.
    public var pageCount: Int { Int(size >> 12) }

    /// Reserves `ramBytes` of zero-filled RAM and `devicePages` pages above it; the host provides pages as they
    /// are touched.
    public init(bytes ramBytes: UInt64, devicePages: Int = 0) throws(GuestMemoryError) {
        let bytes = ramBytes + UInt64(max(0, devicePages)) << 12
        guard bytes > 0, bytes & 0xFFF == 0, bytes <= 1 << 32 else {
            throw .badSize(bytes: bytes)
        }
        // SAFETY: an anonymous mapping at an address of the host's choice overlaps nothing;
        // failure is checked before the pointer is used. A guard page that stays inaccessible
        // follows the RAM.
        let length = Int(bytes) + 4096
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let block = mmap(nil, length, PROT_NONE, flags, -1, 0), block != MAP_FAILED else {
            throw .cannotAllocate(bytes: bytes, errno: errno)
        }
        file = lguest_memory_file("lguest-ram", Int(bytes))
        let isMapped =
            file >= 0
            ? mmap(
                block, Int(bytes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file, 0)
                != MAP_FAILED
            : mprotect(block, Int(bytes), PROT_READ | PROT_WRITE) == 0
        guard isMapped else {
            let reason = errno
            munmap(block, length)
            if file >= 0 { close(file) }
            throw .cannotAllocate(bytes: bytes, errno: reason)
        }
        base = block
        size = bytes
        ramSize = ramBytes
        let frames = Int(bytes >> 12)
        codePages = .allocate(capacity: frames)
        codePages.initialize(repeating: 0, count: frames)
    }

    deinit {
        // SAFETY: both were made by `init` with exactly these sizes and are used by nobody else.
        munmap(base, Int(size) + 4096)
        if file >= 0 { close(file) }
        codePages.deallocate()
    }

    /// Lets go of the host's page-table entries for the RAM at `base`, not of what is in it: they come back when they are
    /// used. For an engine that reaches most of it elsewhere, so that the process does not count pages twice. Does nothing
    /// where the RAM is not a file.
    public func forgetMappedPages() {
        // SAFETY: of a shared mapping of a file, this drops the mapping's entries and no contents (madvise(2)).
        if file >= 0 { madvise(base, Int(size), MADV_DONTNEED) }
    }

    /// Whether `length` bytes from `address` are all RAM.
    @inlinable
    public func contains(_ address: UInt64, length: UInt64) -> Bool {
        address <= size && length <= size - address
            && (address >= hole.upperBound || address + length <= hole.lowerBound)
    }

    /// Reads a little-endian integer at any alignment.
    @inlinable
    public func read<T: FixedWidthInteger & BitwiseCopyable>(
        _ address: UInt64, as type: T.Type = T.self
    ) throws(GuestMemoryError) -> T {
        guard contains(address, length: UInt64(MemoryLayout<T>.size)) else {
            throw .outOfRange(address: address, length: UInt64(MemoryLayout<T>.size))
        }
        // SAFETY: the range was checked against the mapping just above.
        return T(littleEndian: base.loadUnaligned(fromByteOffset: Int(address), as: T.self))
    }

    /// Writes a little-endian integer at any alignment.
    @inlinable
    public func write<T: FixedWidthInteger & BitwiseCopyable>(
        _ value: T, at address: UInt64
    ) throws(GuestMemoryError) {
        let length = UInt64(MemoryLayout<T>.size)
        guard contains(address, length: length) else {
            throw .outOfRange(address: address, length: length)
        }
        announceWrite(address: address, length: length)
        // SAFETY: the range was checked against the mapping just above.
        base.storeBytes(of: value.littleEndian, toByteOffset: Int(address), as: T.self)
    }

    /// Copies `count` bytes out of guest memory.
    public func readBytes(_ address: UInt64, count: Int) throws(GuestMemoryError) -> [UInt8] {
        guard count >= 0, contains(address, length: UInt64(count)) else {
            throw .outOfRange(address: address, length: UInt64(max(0, count)))
        }
        // SAFETY: the range was checked against the mapping just above.
        return [UInt8](UnsafeRawBufferPointer(start: base + Int(address), count: count))
    }

    /// Copies `bytes` into guest memory.
    public func writeBytes(_ bytes: some Collection<UInt8>, at address: UInt64) throws(GuestMemoryError) {
        let count = bytes.count
        guard contains(address, length: UInt64(count)) else {
            throw .outOfRange(address: address, length: UInt64(count))
        }
        guard count > 0 else { return }
        announceWrite(address: address, length: UInt64(count))
        // SAFETY: the range was checked against the mapping just above; copyBytes writes at most
        // the buffer's own count.
        UnsafeMutableRawBufferPointer(start: base + Int(address), count: count).copyBytes(from: bytes)
    }

    /// Gives `body` the bytes `[address, address + count)` to read or fill in place (for devices that
    /// call `read(2)` or `write(2)` on guest memory). The pointer must not outlive the call.
    public func withBytes<R>(
        _ address: UInt64, count: Int, forWriting: Bool,
        _ body: (UnsafeMutableRawBufferPointer) -> R
    ) throws(GuestMemoryError) -> R {
        guard count >= 0, contains(address, length: UInt64(count)) else {
            throw .outOfRange(address: address, length: UInt64(max(0, count)))
        }
        if forWriting { announceWrite(address: address, length: UInt64(count)) }
        // SAFETY: the range was checked against the mapping just above.
        return body(UnsafeMutableRawBufferPointer(start: base + Int(address), count: count))
    }

    /// Zero-fills `[address, address + count)`.
    public func zero(_ address: UInt64, count: UInt64) throws(GuestMemoryError) {
        guard contains(address, length: count) else {
            throw .outOfRange(address: address, length: count)
        }
        announceWrite(address: address, length: count)
        // SAFETY: the range was checked against the mapping just above.
        memset(base + Int(address), 0, Int(count))
    }

    /// Tells the code cache about a write to pages that hold code. The range must be inside RAM.
    @inlinable
    public func announceWrite(address: UInt64, length: UInt64) {
        guard length > 0 else { return }
        var page = Int(address >> 12)
        let last = Int((address + length - 1) >> 12)
        while page <= last {
            // SAFETY: callers have checked the range, so `page` is below `pageCount`.
            if codePages[page] != 0 {
                codeWriteObserver?.codeBytesChanged(address: UInt32(address), length: UInt32(length))
                return
            }
            page += 1
        }
    }
}

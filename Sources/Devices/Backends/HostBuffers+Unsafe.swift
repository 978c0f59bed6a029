// SPDX-License-Identifier: Apache-2.0
//
// Host memory that a system call fills or empties on behalf of a guest, perhaps on another thread: a list
// of pieces, as `readv(2)` wants them. This is the one place where a device's buffers become pointers.

import GuestMemory

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Pieces of host memory that stay valid as long as this value exists.
struct HostBuffers: @unchecked Sendable {
    // SAFETY (of `@unchecked Sendable`): `owners` keep the memory mapped. What is in it may be changed by
    // several threads at a time, as a real machine's memory is by processor and devices: the bytes have no
    // meaning for us, and no reference or length is ever kept in them.
    private var owners: [AnyObject]
    private var pieces: [iovec]
    /// Bytes in all pieces together.
    private(set) var count: Int

    /// Bytes of guest memory, all of which must be inside RAM; a piece that is not is left out.
    init(memory: GuestMemory, _ segments: [(address: UInt64, length: UInt64)]) {
        owners = [memory]
        pieces = []
        pieces.reserveCapacity(segments.count)
        count = 0
        for segment in segments where memory.contains(segment.address, length: segment.length) {
            // SAFETY: the range was checked just above.
            let base = memory.base + Int(segment.address)
            pieces.append(iovec(iov_base: base, iov_len: Int(segment.length)))
            count += Int(segment.length)
        }
    }

    /// Zeroed memory of our own.
    init(zeros count: Int) {
        let block = HostBlock(count: count)
        owners = [block]
        pieces = [iovec(iov_base: block.base, iov_len: block.count)]
        self.count = block.count
    }

    /// Memory of our own with these bytes.
    init(bytes: [UInt8]) {
        self.init(zeros: bytes.count)
        store(bytes[...])
    }

    /// `length` bytes from `offset` on, cut off at the end.
    func slice(_ offset: Int, _ length: Int) -> HostBuffers {
        if offset == 0, length >= count { return self }
        var result = self
        result.pieces = []
        result.count = 0
        var skip = max(0, offset)
        var rest = max(0, length)
        for piece in pieces where rest > 0 {
            guard skip < piece.iov_len, let base = piece.iov_base else {
                skip -= piece.iov_len
                continue
            }
            let part = min(piece.iov_len - skip, rest)
            // SAFETY: `skip + part` is within the piece.
            result.pieces.append(iovec(iov_base: base + skip, iov_len: part))
            result.count += part
            rest -= part
            skip = 0
        }
        return result
    }

    /// The same with `bytes` before them.
    func prefixed(by bytes: [UInt8]) -> HostBuffers {
        var result = HostBuffers(bytes: bytes)
        result.owners += owners
        result.pieces += pieces
        result.count += count
        return result
    }

    /// Puts the first bytes of `bytes` into the pieces, as many as there is room for.
    func store(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        forEachPiece { piece in
            let part = rest.prefix(piece.count)
            piece.copyBytes(from: part)
            rest = rest.dropFirst(part.count)
        }
    }

    /// A copy of all bytes.
    var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        forEachPiece { result += $0 }
        return result
    }

    private func forEachPiece(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        // Without this the owners could be gone after their last use by name, which is before that of
        // their memory.
        withExtendedLifetime(owners) {
            for piece in pieces {
                // SAFETY: a piece is valid memory as long as the owners live.
                body(UnsafeMutableRawBufferPointer(start: piece.iov_base, count: piece.iov_len))
            }
        }
    }

    /// Hands the pieces to a system call; at most 1024, which is what the kernel takes (IOV_MAX).
    func withVector<R>(_ body: (UnsafePointer<iovec>, Int32) -> R) -> R? {
        withExtendedLifetime(owners) {
            pieces.withUnsafeBufferPointer { list in
                list.baseAddress.map { body($0, Int32(min(list.count, 1024))) }
            }
        }
    }
}

/// A block of zeroed memory.
private final class HostBlock {
    let base: UnsafeMutableRawPointer
    let count: Int

    init(count: Int) {
        self.count = max(0, count)
        // SAFETY: fresh memory, cleared before use, freed by `deinit` alone.
        base = .allocate(byteCount: max(1, count), alignment: 16)
        memset(base, 0, max(1, count))
    }

    deinit { base.deallocate() }
}

// SPDX-License-Identifier: Apache-2.0
//
// `struct lguest_dma` of Linux 2.6.23 (lguest ABI 8.7): up to sixteen pieces of guest memory, and how much of them
// was used. Driver and device each write into memory that the other has named.

import GuestMemory

/// A list of pieces in guest memory, as it was when it was read.
struct DMAList {
    /// Bytes of the structure: used length, 16 addresses of 4 bytes, 16 lengths of 2.
    static let byteCount: UInt64 = 100
    private static let pieceLimit = 16

    /// GPA of the structure.
    let address: UInt64
    /// 0 while a receiver's list is free.
    let usedLength: UInt32
    let pieces: [(address: UInt64, length: UInt64)]
    /// Bytes in all pieces together.
    var count: Int { pieces.reduce(0) { $0 + Int($1.length) } }

    /// Nil when the structure or one of its pieces is not inside guest memory.
    init?(at address: UInt64, _ memory: GuestMemory) {
        guard memory.contains(address, length: Self.byteCount),
            let bytes = try? memory.readBytes(address, count: Int(Self.byteCount))
        else { return nil }
        self.address = address
        usedLength = UInt32(truncatingIfNeeded: bytes.littleEndian(at: 0, width: 4))
        var pieces: [(address: UInt64, length: UInt64)] = []
        for index in 0..<Self.pieceLimit {
            let length = bytes.littleEndian(at: 68 + 2 * index, width: 2)
            if length == 0 { break }
            let start = bytes.littleEndian(at: 4 + 4 * index, width: 4)
            guard memory.contains(start, length: length) else { return nil }
            pieces.append((start, length))
        }
        self.pieces = pieces
    }

    func buffers(_ memory: GuestMemory) -> HostBuffers { HostBuffers(memory: memory, pieces) }

    /// Tells the code cache that the device writes into the pieces.
    func announceWrite(_ memory: GuestMemory) {
        for piece in pieces { memory.announceWrite(address: piece.address, length: piece.length) }
    }

    /// Says how much was used, to whom the list belongs.
    func setUsed(_ length: Int, _ memory: GuestMemory) {
        memory.announceWrite(address: address, length: 4)
        try? memory.write(UInt32(clamping: length), at: address)
    }
}

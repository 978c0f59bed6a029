// SPDX-License-Identifier: Apache-2.0
//
// One block request as it lies in a chain (virtio 1.0, clause 5.2.6): a header first, one byte
// of status last, data between. Where buffers begin and end within the chain says nothing.

import GuestMemory

/// A request of the driver, taken apart.
struct BlockRequest {
    enum Kind: Equatable {
        case read, write, flush, identify, discard, writeZeroes
        /// SCSI commands and whatever else is not known.
        case unsupported
    }

    /// Answers (clause 5.2.6).
    enum Status: UInt8 {
        case ok = 0
        case failed = 1
        case unsupported = 2
    }

    /// Bytes of header: type, priority, sector, and in Linux 2.6.24 a number that nobody reads.
    static func headerLength(_ dialect: VirtioDialect) -> Int { dialect == .standard ? 16 : 24 }

    let chain: DescriptorChain
    let kind: Kind
    /// Legacy: everything before is done first, everything behind waits.
    let isBarrier: Bool
    /// First sector of a read or write.
    let sector: UInt64
    /// The data: to be written for reads, to be read for all others.
    let data: [GuestSegment]
    let dataLength: Int

    /// Nil when the chain has no room for a header and a status byte, which no answer can mend.
    init?(_ chain: DescriptorChain, _ memory: GuestMemory, _ dialect: VirtioDialect) {
        let headerLength = Self.headerLength(dialect)
        guard chain.readableLength >= headerLength, chain.writableLength >= 1 else { return nil }
        self.chain = chain
        let type: UInt32
        if let first = chain.readable.first, first.length >= headerLength {
            // As all drivers have it.
            type = (try? memory.read(first.address)) ?? .max
            sector = (try? memory.read(first.address + 8)) ?? .max
        } else {
            let header = HostBuffers(memory, chain.readable.slice(0, headerLength)).bytes
            type = UInt32(truncatingIfNeeded: header.littleEndian(at: 0, width: 4))
            sector = header.littleEndian(at: 8, width: 8)
        }
        isBarrier = type & 1 << 31 != 0
        switch type & 0x7FFF_FFFF {
        case 0: kind = .read
        case 1: kind = .write
        case 4, 5: kind = .flush
        case 8: kind = .identify
        case 11: kind = .discard
        case 13: kind = .writeZeroes
        default: kind = .unsupported
        }
        if kind == .read || kind == .identify {
            dataLength = Int(chain.writableLength) - 1
            data = chain.writable.slice(0, dataLength)
        } else {
            dataLength = Int(chain.readableLength) - headerLength
            data = chain.readable.slice(headerLength, dataLength)
        }
    }
}

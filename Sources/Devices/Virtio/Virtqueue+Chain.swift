// SPDX-License-Identifier: Apache-2.0
//
// Walking a descriptor chain, with the suspicion that each of its words deserves, and moving bytes
// between a chain and the host.

import GuestMemory

/// One entry of a descriptor table (clause 2.4.5), 16 bytes.
private struct Descriptor {
    static let size: UInt64 = 16
    static let next: UInt16 = 1
    static let write: UInt16 = 2
    static let indirect: UInt16 = 4

    let address: UInt64
    let length: UInt32
    let flags: UInt16
    let next: UInt16
}

extension Virtqueue {
    /// Descriptors that a chain may have when part of it is an indirect table. Legacy drivers made tables
    /// longer than the queue, so the queue's size is not the bound here.
    private static let indirectLimit = 1024

    /// Collects the buffers of the chain that starts at descriptor `head`.
    func walk(from head: UInt16) throws(VirtqueueError) -> DescriptorChain {
        var chain = DescriptorChain(head: head)
        var table = layout.descriptors
        var tableSize = Int(size)
        var limit = tableSize
        var isIndirect = false
        var index = head
        var count = 0
        while true {
            guard Int(index) < tableSize else { throw .badDescriptorIndex(index) }
            guard count < limit else { throw .chainTooLong(head: head) }
            count += 1
            let descriptor = try descriptor(at: table + UInt64(index) * Descriptor.size)
            if descriptor.flags & Descriptor.indirect != 0 {
                guard !isIndirect else { throw .badIndirect(head: head) }
                try checkIndirect(descriptor, head: head)
                isIndirect = true
                table = descriptor.address
                tableSize = Int(descriptor.length / UInt32(Descriptor.size))
                limit = Self.indirectLimit
                count = 0
                index = 0
                continue
            }
            // An empty buffer says nothing; leaving it out keeps every later length above zero.
            if descriptor.length > 0 {
                guard memory.contains(descriptor.address, length: UInt64(descriptor.length)) else {
                    throw .bufferOutsideMemory(address: descriptor.address, length: descriptor.length)
                }
                let segment = GuestSegment(address: descriptor.address, length: descriptor.length)
                try chain.append(segment, writable: descriptor.flags & Descriptor.write != 0)
            }
            guard descriptor.flags & Descriptor.next != 0 else { return chain }
            index = descriptor.next
        }
    }

    /// Clause 2.4.5.3: negotiated, last in its chain, a whole number of entries, inside RAM.
    private func checkIndirect(_ descriptor: Descriptor, head: UInt16) throws(VirtqueueError) {
        guard features.contains(.indirectDescriptors), descriptor.flags & Descriptor.next == 0,
            descriptor.length > 0, UInt64(descriptor.length) % Descriptor.size == 0
        else { throw .badIndirect(head: head) }
        guard memory.contains(descriptor.address, length: UInt64(descriptor.length)) else {
            throw .bufferOutsideMemory(address: descriptor.address, length: descriptor.length)
        }
    }

    private func descriptor(at address: UInt64) throws(VirtqueueError) -> Descriptor {
        do throws(GuestMemoryError) {
            return Descriptor(
                address: try memory.read(address), length: try memory.read(address + 8),
                flags: try memory.read(address + 12), next: try memory.read(address + 14))
        } catch {
            throw .badRing(part: "descriptor", address: address)
        }
    }

    /// Hands the readable bytes of `chain` to `body`, in order, in pieces of at most `limit` bytes.
    public func forEachReadablePiece(
        of chain: DescriptorChain, limit: Int = 16384, _ body: ([UInt8]) -> Void
    ) {
        for segment in chain.readable {
            var offset: UInt64 = 0
            while offset < UInt64(segment.length) {
                let count = min(max(1, limit), Int(UInt64(segment.length) - offset))
                guard let piece = try? memory.readBytes(segment.address + offset, count: count) else {
                    return driverIsBroken(
                        .bufferOutsideMemory(address: segment.address, length: segment.length))
                }
                body(piece)
                offset += UInt64(count)
            }
        }
    }

    /// Copies `bytes` into the writable buffers of `chain`, from byte `start` of them on; gives the number of bytes
    /// that found room.
    public func fill(_ chain: DescriptorChain, from start: UInt32 = 0, with bytes: ArraySlice<UInt8>)
        -> UInt32
    {
        guard isLive else { return 0 }
        var rest = bytes
        var skip = start
        for segment in chain.writable {
            if rest.isEmpty { break }
            guard skip < segment.length else {
                skip -= segment.length
                continue
            }
            let part = rest.prefix(Int(segment.length - skip))
            do throws(GuestMemoryError) {
                try memory.writeBytes(part, at: segment.address + UInt64(skip))
            } catch {
                driverIsBroken(.bufferOutsideMemory(address: segment.address, length: segment.length))
                return 0
            }
            skip = 0
            rest = rest.dropFirst(part.count)
        }
        return UInt32(truncatingIfNeeded: bytes.count - rest.count)
    }
}

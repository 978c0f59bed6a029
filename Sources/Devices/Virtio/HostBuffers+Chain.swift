// SPDX-License-Identifier: Apache-2.0
//
// From a chain's buffers to memory that a system call can use.

import GuestMemory

extension HostBuffers {
    /// The bytes of `segments`, which come out of a checked chain.
    init(_ memory: GuestMemory, _ segments: [GuestSegment]) {
        self.init(memory: memory, segments.map { ($0.address, UInt64($0.length)) })
    }
}

extension [GuestSegment] {
    /// `count` bytes from `offset` on, cut off at the end.
    func slice(_ offset: Int, _ count: Int) -> [GuestSegment] {
        var result: [GuestSegment] = []
        var (skip, rest) = (offset, count)
        for segment in self where rest > 0 {
            let length = Int(segment.length)
            guard skip < length else {
                skip -= length
                continue
            }
            let part = Swift.min(length - skip, rest)
            result.append(GuestSegment(address: segment.address + UInt64(skip), length: UInt32(part)))
            rest -= part
            skip = 0
        }
        return result
    }

    /// Tells the code cache that the device has written here, or is about to.
    func announceWrite(to memory: GuestMemory) {
        for segment in self { memory.announceWrite(address: segment.address, length: UInt64(segment.length)) }
    }
}

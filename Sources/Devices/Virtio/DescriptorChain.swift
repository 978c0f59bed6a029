// SPDX-License-Identifier: Apache-2.0
//
// One request of a driver: a list of buffers in guest memory, those that the device may read first.

/// A piece of guest memory that is known to lie inside RAM.
public struct GuestSegment: Equatable, Sendable {
    /// GPA of the first byte.
    public let address: UInt64
    /// Bytes, not zero.
    public let length: UInt32
}

/// A descriptor chain (virtio 1.0, clause 2.4.4) after all checks. Keep it until the request is done, then
/// give it back with `Virtqueue.push`.
public struct DescriptorChain: Equatable, Sendable {
    /// Number of the first descriptor: the name by which the driver gets the buffer back.
    public let head: UInt16
    /// Buffers that the device may read, in order. Empty buffers are left out.
    public internal(set) var readable: [GuestSegment] = []
    /// Buffers that the device may write, in order. Empty buffers are left out.
    public internal(set) var writable: [GuestSegment] = []
    /// Bytes of all readable buffers together, below 2^32.
    public internal(set) var readableLength: UInt32 = 0
    /// Bytes of all writable buffers together, below 2^32.
    public internal(set) var writableLength: UInt32 = 0

    init(head: UInt16) { self.head = head }

    /// Adds a buffer, or says why the driver may not have it there.
    mutating func append(_ segment: GuestSegment, writable isWritable: Bool) throws(VirtqueueError) {
        if !isWritable && !writable.isEmpty { throw .readableAfterWritable(head: head) }
        let total = UInt64(readableLength) + UInt64(writableLength) + UInt64(segment.length)
        guard total <= UInt64(UInt32.max) else { throw .chainTooLarge(head: head) }
        if isWritable {
            writable.append(segment)
            writableLength += segment.length
        } else {
            readable.append(segment)
            readableLength += segment.length
        }
    }
}

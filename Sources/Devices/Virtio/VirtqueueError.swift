// SPDX-License-Identifier: Apache-2.0
//
// Every way in which a driver can break the rules of a virtqueue, by name.

/// What a driver did that the virtio standard forbids and that cannot be carried out.
public enum VirtqueueError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A queue size of zero, not a power of two, or above what the device offers.
    case badSize(UInt16)
    /// A ring part that is not inside RAM or not aligned as clause 2.4 wants.
    case badRing(part: String, address: UInt64)
    /// More new entries in the available ring than the ring holds.
    case availableIndexJumped(from: UInt16, to: UInt16)
    /// More buffers in flight than the queue has descriptors.
    case tooManyInFlight
    /// A descriptor number that is not in the table.
    case badDescriptorIndex(UInt16)
    /// A chain with more descriptors than the table has: it is too long or runs in a circle.
    case chainTooLong(head: UInt16)
    /// A buffer that is not inside RAM.
    case bufferOutsideMemory(address: UInt64, length: UInt32)
    /// A chain of more than 2^32 − 1 bytes.
    case chainTooLarge(head: UInt16)
    /// A device-readable buffer behind a device-writable one (clause 2.4.4.2).
    case readableAfterWritable(head: UInt16)
    /// An indirect descriptor that was not negotiated, is nested, has a successor, or an odd table size.
    case badIndirect(head: UInt16)
    /// A buffer that the device cannot use as its type wants, such as a read-only receive buffer.
    case badRequest(head: UInt16, String)
    /// The driver enabled the device without agreeing on features first (clause 3.1.1).
    case featuresNotNegotiated

    public var description: String {
        switch self {
        case .badSize(let size): "queue size \(size)"
        case .badRing(let part, let address): "\(part) at \(Self.hex(address))"
        case .availableIndexJumped(let from, let to): "available index jumps from \(from) to \(to)"
        case .tooManyInFlight: "more buffers than the queue holds"
        case .badDescriptorIndex(let index): "descriptor \(index) does not exist"
        case .chainTooLong(let head): "descriptor chain \(head) is too long or a circle"
        case .bufferOutsideMemory(let address, let length):
            "buffer of \(length) bytes at \(Self.hex(address)) is outside memory"
        case .chainTooLarge(let head): "descriptor chain \(head) holds 4 GiB or more"
        case .readableAfterWritable(let head):
            "descriptor chain \(head) has a readable buffer behind a writable one"
        case .badIndirect(let head): "descriptor chain \(head) has a bad indirect table"
        case .badRequest(let head, let reason): "request \(head): \(reason)"
        case .featuresNotNegotiated: "driver is ready before features are agreed upon"
        }
    }

    private static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

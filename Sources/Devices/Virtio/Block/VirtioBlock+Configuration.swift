// SPDX-License-Identifier: Apache-2.0
//
// What the driver gets to know of a disk (virtio 1.0, clause 5.2.3 and 5.2.4).

extension VirtioFeatures {
    /// Legacy: requests with the barrier bit keep their place.
    static let blockBarrier = VirtioFeatures(bit: 0)
    static let blockSegmentLimit = VirtioFeatures(bit: 2)
    static let blockGeometry = VirtioFeatures(bit: 4)
    static let blockReadOnly = VirtioFeatures(bit: 5)
    static let blockSectorSize = VirtioFeatures(bit: 6)
    static let blockFlush = VirtioFeatures(bit: 9)
    static let blockDiscard = VirtioFeatures(bit: 13)
    static let blockWriteZeroes = VirtioFeatures(bit: 14)
}

extension VirtioBlock {
    /// Sectors in one discard or write-zeroes segment: 2 GiB, and the ranges in one such request.
    static let discardLimit: UInt32 = 1 << 22
    static let discardSegments: UInt32 = 16

    public var offeredFeatures: VirtioFeatures {
        var features: VirtioFeatures = [
            .blockSegmentLimit, .blockGeometry, .blockSectorSize, .blockFlush, .indirectDescriptors,
        ]
        features.formUnion(disk.image.isReadOnly ? .blockReadOnly : [.blockDiscard, .blockWriteZeroes])
        return features
    }

    /// Drivers from before 2.6.32 know no flush, but barriers.
    public var legacyFeatures: VirtioFeatures { .blockBarrier }

    public var configuration: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 60)
        func put(_ value: UInt64, _ offset: Int, _ width: Int) {
            bytes.setLittleEndian(value, at: offset, width: width)
        }
        put(sectorCount, 0, 8)
        put(UInt64(Self.segmentLimit), 12, 4)
        // Any geometry is as good as another: the one that most BIOSes used.
        put(min(sectorCount / (16 * 63), 0xFFFF), 16, 2)
        put(16, 18, 1)
        put(63, 19, 1)
        put(Self.sector, 20, 4)
        // A cache that a flush empties, one queue.
        put(1, 32, 1)
        put(1, 34, 2)
        put(UInt64(Self.discardLimit), 36, 4)
        put(UInt64(Self.discardSegments), 40, 4)
        put(OverlayImage.cluster / Self.sector, 44, 4)
        put(UInt64(Self.discardLimit), 48, 4)
        put(UInt64(Self.discardSegments), 52, 4)
        put(1, 56, 1)
        return bytes
    }

    /// Sectors, and buffers in one request.
    public var fields: [VirtioField]? {
        [
            VirtioField(type: 0x41, sectorCount, width: 8),
            VirtioField(type: 0x43, UInt64(Self.segmentLimit), width: 4),
        ]
    }

    /// The answer to GET_ID: the file's name, 20 bytes, without the folder.
    var serial: [UInt8] {
        let last = disk.image.name.split(separator: "/").last.map { Array($0.utf8) } ?? []
        return Array((last + [UInt8](repeating: 0, count: 20)).prefix(20))
    }
}

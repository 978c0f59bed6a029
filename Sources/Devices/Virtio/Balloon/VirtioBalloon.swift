// SPDX-License-Identifier: Apache-2.0
//
// The balloon (virtio 1.0, clause 5.5): the guest lends us pages that it does not need, and we give their
// memory back to the host until the guest takes them again. How many we should like is `targetPages`.

/// A virtio memory balloon. Belongs to the thread of the virtual CPU.
public final class VirtioBalloon {
    enum Queue {
        static let inflate = 0
        static let deflate = 1
    }

    static let queueSize: UInt16 = 128

    /// Pages of 4 KiB that the guest is asked for. Setting it tells the guest at once.
    public var targetPages: UInt32 {
        didSet { if targetPages != oldValue { activation?.configurationChanged() } }
    }
    /// Pages that the guest says it has lent.
    public private(set) var actualPages: UInt32 = 0
    /// Pages given back to the host so far.
    public internal(set) var discardedPages: UInt64 = 0
    var activation: VirtioActivation?

    public init(targetPages: UInt32 = 0) { self.targetPages = targetPages }
}

extension VirtioFeatures {
    /// A guest that runs out of memory may take its pages back.
    static let balloonDeflateOnOutOfMemory = VirtioFeatures(bit: 2)
}

extension VirtioBalloon: VirtioDevice {
    public var name: String { "balloon" }
    public var deviceID: UInt16 { 5 }
    public var offeredFeatures: VirtioFeatures { .balloonDeflateOnOutOfMemory }
    public var queueSizes: [UInt16] { [Self.queueSize, Self.queueSize] }

    /// Clause 5.5.4: u32 pages wanted, u32 pages lent.
    public var configuration: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 8)
        bytes.setLittleEndian(UInt64(targetPages), at: 0, width: 4)
        bytes.setLittleEndian(UInt64(actualPages), at: 4, width: 4)
        return bytes
    }

    public func writeConfiguration(offset: Int, width: Int, value: UInt32) {
        var bytes = configuration
        bytes.setLittleEndian(UInt64(value), at: offset, width: width)
        actualPages = UInt32(truncatingIfNeeded: bytes.littleEndian(at: 4, width: 4))
    }

    public func activate(_ activation: VirtioActivation) { self.activation = activation }

    public func queueNotified(_ index: Int) {
        switch index {
        case Queue.inflate: takePages(index, areLent: true)
        case Queue.deflate: takePages(index, areLent: false)
        default: break
        }
    }

    public func reset() {
        activation = nil
        actualPages = 0
    }
}

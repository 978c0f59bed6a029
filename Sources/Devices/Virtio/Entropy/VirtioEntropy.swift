// SPDX-License-Identifier: Apache-2.0
//
// The random number generator (virtio 1.0, clause 5.4): one queue of buffers to fill, no configuration.

/// A virtio entropy device. Belongs to the thread of the virtual CPU.
public final class VirtioEntropy {
    static let queueSize: UInt16 = 256
    /// Drivers ask for some 64 bytes; nobody gets more than this at a time.
    static let limit = 65536

    let source: any RandomSource
    var activation: VirtioActivation?

    public init(source: any RandomSource) { self.source = source }
}

extension VirtioEntropy: VirtioDevice {
    public var name: String { "rng" }
    public var deviceID: UInt16 { 4 }
    public var offeredFeatures: VirtioFeatures { [] }
    public var queueSizes: [UInt16] { [Self.queueSize] }
    public var configuration: [UInt8] { [] }

    public func activate(_ activation: VirtioActivation) { self.activation = activation }

    public func queueNotified(_ index: Int) {
        if index == 0 { fillBuffers() }
    }

    public func reset() { activation = nil }
}

// SPDX-License-Identifier: Apache-2.0
//
// The network card (virtio 1.0, clause 5.1): two queues of frames, each frame after a header that says what is
// left to do to it. `+Queues` moves the frames, `+Configuration` says what the driver is told.

/// A virtio network device. Belongs to the thread of the virtual CPU.
public final class VirtioNet {
    enum Queue {
        static let receive = 0
        static let transmit = 1
    }

    struct SpareBuffer {
        let chain: DescriptorChain
        /// Bytes that may be put into it.
        let room: Int
    }

    static let queueSize: UInt16 = 256
    /// The longest frame: a segment of 64 KiB with link header and VLAN tag.
    static let frameLimit = 65536 + 18

    public let network: Network
    var activation: VirtioActivation?
    /// Receive buffers that were taken from the queue and wait for a frame that fits.
    var spare: [SpareBuffer] = []
    /// Bytes of the receive buffer that was taken last.
    var lastLength: Int?
    /// Frames that the guest's buffers were too small for.
    public internal(set) var droppedFrames: UInt64 = 0

    public init(network: Network) { self.network = network }

    var features: VirtioFeatures { activation?.features ?? [] }

    /// Clause 5.1.6: old drivers have the last field only with mergeable buffers, and that of Linux 2.6.24 does not
    /// say how long all headers are.
    var headerLength: Int {
        if activation?.dialect == .linux2624 { return FrameOffload.byteCount - 2 }
        let hasCount = features.contains(.version1) || features.contains(.netMergeableBuffers)
        return FrameOffload.byteCount + (hasCount ? 2 : 0)
    }
}

extension VirtioNet: VirtioDevice {
    public var name: String { "net" }
    public var deviceID: UInt16 { 1 }
    public var queueSizes: [UInt16] { [Self.queueSize, Self.queueSize] }

    public func activate(_ activation: VirtioActivation) {
        self.activation = activation
        // Linux 2.6.24 wants no more interrupts after the first frame, and if that comes before its interface is up, it
        // never looks at any.
        activation.queue(Queue.receive)?.tellsAlways = activation.dialect == .linux2624
        network.backend.start(client: self, accepted: acceptedOffloads)
    }

    public func queueNotified(_ index: Int) {
        switch index {
        case Queue.receive: network.backend.receiveMore()
        case Queue.transmit: transmit()
        default: break
        }
    }

    public func reset() {
        network.backend.stop()
        activation = nil
        spare = []
        lastLength = nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The far end of a network card: something that takes Ethernet frames and gives some. Backends know
// nothing of virtio; what they and a card can leave to each other is in `FrameOffload`.

/// What one side may leave undone in a frame because the other side can do it.
struct NetworkOffloads: OptionSet, Sendable {
    let rawValue: UInt8

    /// The TCP or UDP checksum.
    static let checksum = NetworkOffloads(rawValue: 1)
    /// Cutting a long TCP segment into frames, over IPv4 and IPv6, and with congestion marks.
    static let tcp4 = NetworkOffloads(rawValue: 2)
    static let tcp6 = NetworkOffloads(rawValue: 4)
    static let congestion = NetworkOffloads(rawValue: 8)

    static let all: NetworkOffloads = [.checksum, .tcp4, .tcp6, .congestion]
}

/// What is left to do to one frame, in the ten bytes that the host's kernel and all cards of this kind use.
struct FrameOffload: Equatable, Sendable {
    /// Bit 0: the checksum is to be done; bit 1: it was checked and is good.
    var flags: UInt8 = 0
    /// 0 no segmentation, 1 TCP over IPv4, 3 UDP, 4 TCP over IPv6; plus 128 for congestion marks.
    var segmentation: UInt8 = 0
    /// Length of all headers: a hint.
    var headerLength: UInt16 = 0
    /// Bytes of payload in each frame.
    var segmentSize: UInt16 = 0
    /// Where the checksummed part begins, and where in it the sum goes.
    var checksumStart: UInt16 = 0
    var checksumOffset: UInt16 = 0

    static let byteCount = 10
    static let needsChecksum: UInt8 = 1
    static let checksumIsGood: UInt8 = 2

    /// Nothing to do.
    init() {}

    /// From its ten bytes, little-endian.
    init(_ bytes: ArraySlice<UInt8>) { self.init(Array(bytes)) }

    init(_ bytes: [UInt8]) {
        func word(_ at: Int) -> UInt16 { UInt16(truncatingIfNeeded: bytes.littleEndian(at: at, width: 2)) }
        guard bytes.count >= Self.byteCount else { return }
        (flags, segmentation) = (bytes[0], bytes[1])
        (headerLength, segmentSize, checksumStart, checksumOffset) = (word(2), word(4), word(6), word(8))
    }

    var bytes: [UInt8] {
        var bytes = [flags, segmentation] + [UInt8](repeating: 0, count: 8)
        for (index, word) in [headerLength, segmentSize, checksumStart, checksumOffset].enumerated() {
            bytes.setLittleEndian(UInt64(word), at: 2 + 2 * index, width: 2)
        }
        return bytes
    }
}

/// A frame on its way to the guest.
struct NetworkFrame: Sendable {
    var offload = FrameOffload()
    var bytes: [UInt8]
}

/// Whoever gets the frames that a backend receives.
protocol NetworkClient: AnyObject {
    /// False when there is no room: the backend keeps the frame and waits for `receiveMore`.
    func frameArrived(_ bytes: ArraySlice<UInt8>, _ offload: FrameOffload) -> Bool
    /// No more frames for now: a good moment to tell the driver.
    func framesEnded()
}

/// A network. Everything happens on the thread of the event loop.
protocol NetworkBackend: AnyObject {
    /// What it can do to frames that are sent.
    var offloads: NetworkOffloads { get }
    /// What it may leave undone in frames that it delivers, to a client that has accepted it.
    var leaves: NetworkOffloads { get }
    /// Frames go to `client` from now on; `accepted` is what it can do to them. The client is not kept alive.
    /// May be called again, with another set.
    func start(client: any NetworkClient, accepted: NetworkOffloads)
    /// No more frames to the client.
    func stop()
    /// Sends a frame. What cannot be sent is lost, as on any network.
    func send(_ frame: HostBuffers, _ offload: FrameOffload)
    /// The last of several `send` for now.
    func sendingEnded()
    /// The client has room again.
    func receiveMore()
    /// Ends threads and gives everything back to the host.
    func close()
}

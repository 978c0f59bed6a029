// SPDX-License-Identifier: Apache-2.0
//
// The network that needs no privilege: libslirp in this process. This is its end on the machine's thread.

import Support

/// A user-mode network.
final class SlirpBackend: NetworkBackend {
    private let stack: SlirpStack
    private let eventLoop: EventLoop
    private let warn: (String) -> Void
    private var source: EventLoop.Source?
    private weak var client: (any NetworkClient)?
    private var accepted: NetworkOffloads = []
    /// For the stack, until `sendingEnded`.
    private var outgoing: [NetworkFrame] = []
    /// From the stack, but the client had no room.
    private var held: ArraySlice<NetworkFrame> = []

    /// Throws `.host` when a port is taken.
    init(
        forwards: [NetworkSpecification.Forward], eventLoop: EventLoop,
        warn: @escaping (String) -> Void = { _ in }
    ) throws(LguestError) {
        self.eventLoop = eventLoop
        self.warn = warn
        stack = try SlirpStack(machine: eventLoop.waker)
        for forward in forwards { try stack.forward(forward) }
    }

    deinit { close() }

    /// Checksums and segmentation are done on the stack's thread.
    var offloads: NetworkOffloads { .all }
    /// Its frames are short, but the stack's thread joins them (`SegmentJoiner`).
    var leaves: NetworkOffloads { [.checksum, .tcp4] }

    func start(client: any NetworkClient, accepted: NetworkOffloads) {
        self.client = client
        self.accepted = accepted
        stack.mailbox.content.withLock { $0.joinsSegments = mayBeJoined }
        do throws(LguestError) {
            // Not before the first driver: a thread that is started now has the rights of a confined process.
            try stack.start()
        } catch {
            warn("\(error.description): the guest's network is dead")
        }
        if source == nil { source = eventLoop.registerWake { [weak self] in self?.receiveMore() } }
        receiveMore()
    }

    private var mayBeJoined: Bool { accepted.isSuperset(of: [.checksum, .tcp4]) }

    func stop() {
        if let source { eventLoop.unregister(source) }
        source = nil
        client = nil
    }

    func close() {
        stop()
        stack.stop()
    }

    func send(_ frame: HostBuffers, _ offload: FrameOffload) {
        var copy = NetworkFrame(bytes: frame.bytes)
        copy.offload = offload
        outgoing.append(copy)
    }

    func sendingEnded() {
        guard !outgoing.isEmpty else { return }
        let frames = outgoing
        outgoing.removeAll(keepingCapacity: true)
        stack.mailbox.content.withLock { content in
            content.toNetwork += frames.prefix(max(0, FrameMailbox.limit - content.toNetwork.count))
        }
        stack.waker.wake()
    }

    func receiveMore() {
        guard let client else { return }
        if held.isEmpty {
            held = stack.mailbox.content.withLock { content in
                defer { content.toGuest.removeAll(keepingCapacity: true) }
                return content.toGuest[...]
            }
        }
        guard !held.isEmpty else { return }
        while var frame = held.first {
            guard frame.offload.segmentation == 0 || mayBeJoined else {
                // It was for a driver that is gone.
                held = held.dropFirst()
                continue
            }
            if !accepted.contains(.checksum) { frame.offload.flags = 0 }
            guard client.frameArrived(frame.bytes[...], frame.offload) else { break }
            held = held.dropFirst()
        }
        client.framesEnded()
    }
}

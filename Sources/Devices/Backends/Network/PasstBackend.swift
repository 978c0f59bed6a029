// SPDX-License-Identifier: Apache-2.0
//
// A network by passt, a program of its own that needs user namespaces. Frames go through a stream socket,
// each after its length in four bytes, the highest first.

import Support

/// A passt process as a network.
final class PasstBackend: NetworkBackend {
    /// Bytes that wait for the socket; frames beyond them are lost.
    private static let outgoingLimit = 1 << 20
    private static let readLimit = 1 << 18
    private static let frameLimit = 65536 + 18

    private let process: ChildProcess
    private let eventLoop: EventLoop
    private let warn: (String) -> Void
    private var source: EventLoop.Source?
    private weak var client: (any NetworkClient)?
    private var outgoing: [UInt8] = []
    private var retryIsSet = false
    /// Read from the socket and not yet delivered, from `position` on.
    private var incoming: [UInt8] = []
    private var position = 0
    private var hasEnded = false
    /// What is said of each frame that it delivers.
    private var delivered = FrameOffload()

    /// Throws `.host` when passt cannot be started.
    init(
        forwards: [NetworkSpecification.Forward], eventLoop: EventLoop, warn: @escaping (String) -> Void
    ) throws(LguestError) {
        self.eventLoop = eventLoop
        self.warn = warn
        var words = ["passt", "--foreground", "--quiet", "--fd", "3"]
        for forward in forwards {
            words += [forward.isUDP ? "-u" : "-t", "127.0.0.1/\(forward.hostPort):\(forward.guestPort)"]
        }
        do throws(DiskFailure) {
            process = try ChildProcess(words)
        } catch {
            throw LguestError(
                .host, "cannot start passt: \(HostIO.message(error.errno))",
                hint: "--net=user needs no other program")
        }
    }

    deinit { close() }

    /// What the host calls the passt process.
    var processNumber: Int32 { process.number }

    var offloads: NetworkOffloads { .all }
    /// Its frames are complete, and no wire was in between that could have spoilt them.
    var leaves: NetworkOffloads { .checksum }

    func start(client: any NetworkClient, accepted: NetworkOffloads) {
        self.client = client
        delivered.flags = accepted.contains(.checksum) ? FrameOffload.checksumIsGood : 0
        guard source == nil, !hasEnded else { return }
        source = eventLoop.register(descriptor: process.socket) { [weak self] in self?.receive() }
    }

    func stop() {
        if let source { eventLoop.unregister(source) }
        source = nil
        client = nil
    }

    func close() {
        stop()
        process.end()
        if !hasEnded { HostIO.close(process.socket) }
        hasEnded = true
    }

    func send(_ frame: HostBuffers, _ offload: FrameOffload) {
        guard !hasEnded, outgoing.count < Self.outgoingLimit else { return }
        guard let whole = FrameFinisher.finish(frame.bytes, offload) else { return }
        let length = UInt32(whole.count).bigEndian
        outgoing += (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(8 * $0)) }
        outgoing += whole
    }

    func sendingEnded() {
        var sent = 0
        while sent < outgoing.count, !hasEnded {
            switch HostIO.write(process.socket, outgoing, from: sent, limit: .max) {
            case .wrote(let count): sent += count
            case .again:
                outgoing.removeFirst(sent)
                return retryLater()
            case .failed: processEnded()
            }
        }
        outgoing.removeAll(keepingCapacity: true)
    }

    /// The socket is full: passt needs a moment.
    private func retryLater() {
        guard !retryIsSet else { return }
        retryIsSet = true
        eventLoop.schedule(afterNanoseconds: 200_000) { [weak self] in
            self?.retryIsSet = false
            self?.sendingEnded()
        }
    }

    func receiveMore() {
        guard let source else { return }
        if deliver() { eventLoop.setEnabled(source, true) }
    }

    private func receive() {
        switch HostIO.read(process.socket, limit: Self.readLimit) {
        case .bytes(let bytes):
            incoming.removeFirst(position)
            position = 0
            incoming += bytes
            if !deliver(), let source { eventLoop.setEnabled(source, false) }
        case .again: break
        case .endOfFile, .failed: processEnded()
        }
    }

    /// Hands over all complete frames; false when the client has no room.
    private func deliver() -> Bool {
        defer { client?.framesEnded() }
        while incoming.count - position >= 4 {
            let length = (0..<4).reduce(0) { $0 << 8 | Int(incoming[position + $1]) }
            guard length <= Self.frameLimit else {
                processEnded()
                return true
            }
            guard incoming.count - position >= 4 + length else { break }
            let frame = incoming[position + 4..<position + 4 + length]
            guard client?.frameArrived(frame, delivered) ?? true else { return false }
            position += 4 + length
        }
        return true
    }

    private func processEnded() {
        guard !hasEnded else { return }
        stop()
        process.end()
        hasEnded = true
        HostIO.close(process.socket)
        warn(
            "passt has ended: the guest's network is dead (passt needs user namespaces; --net=user does not)")
    }
}

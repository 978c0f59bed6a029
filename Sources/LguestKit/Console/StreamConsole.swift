// SPDX-License-Identifier: Apache-2.0
//
// A console that people connect to and leave as they like: a pseudo-terminal, or a socket with one client
// at a time. Nobody has to be there: output waits for a reader up to a limit, then the oldest is dropped,
// and the guest is never held up.

import Devices
import Support

final class StreamConsole {
    /// Output that is kept for a reader who is late, in bytes.
    static let backlogLimit = 1 << 18
    private static let retryNanoseconds: UInt64 = 10_000_000

    private let eventLoop: EventLoop
    /// Where clients come from; nil for a pseudo-terminal, which is one stream for ever.
    private let listener: Int32?
    /// Removes the socket's file at the end.
    private let cleaner: PathCleaner?
    /// Held open only so that our end of a pseudo-terminal does not hang up.
    private let held: Int32?
    private var stream: Int32?
    private var backlog: [UInt8] = []
    private var retryIsSet = false
    private var inputIsPaused = false
    private var listenerSource: EventLoop.Source?
    private var streamSource: EventLoop.Source?
    private weak var client: (any ConsoleClient)?

    /// A new pseudo-terminal; `announce` gets its name.
    init(pseudoTerminal announce: (String) -> Void, eventLoop: EventLoop) throws(LguestError) {
        let (ours, other, name) = try HostFiles.openPseudoTerminal()
        self.eventLoop = eventLoop
        (listener, cleaner, held, stream) = (nil, nil, other, ours)
        announce(name)
    }

    /// A socket at `path`.
    init(socket path: String, eventLoop: EventLoop) throws(LguestError) {
        self.eventLoop = eventLoop
        let descriptor = try HostFiles.listen(at: path)
        (listener, held, stream) = (descriptor, nil, nil)
        do throws(LguestError) {
            cleaner = try PathCleaner(path: path)
        } catch {
            HostFiles.close(descriptor)
            HostFiles.remove(path)
            throw error
        }
    }

    deinit {
        for descriptor in [listener, held, stream].compactMap({ $0 }) { HostFiles.close(descriptor) }
    }

    private func acceptClient() {
        guard let listener, let newcomer = ListeningSocket.acceptClient(of: listener) else { return }
        guard stream == nil else { return HostFiles.close(newcomer) }
        stream = newcomer
        listen()
        flush()
    }

    private func listen() {
        guard let stream, client != nil else { return }
        streamSource = eventLoop.register(descriptor: stream) { [weak self] in self?.streamIsReady() }
        updateInterest()
    }

    private func updateInterest() {
        if let streamSource { eventLoop.setEnabled(streamSource, !inputIsPaused) }
    }

    private func streamIsReady() {
        guard let stream else { return }
        switch HostFiles.read(stream) {
        case .bytes(let bytes): client?.consoleInput(bytes)
        case .nothingNow: break
        case .ended: streamEnded()
        }
    }

    private func streamEnded() {
        if let streamSource { eventLoop.unregister(streamSource) }
        streamSource = nil
        if let stream { HostFiles.close(stream) }
        stream = nil
    }

    private func flush() {
        while let stream, !backlog.isEmpty {
            guard let count = HostFiles.write(stream, backlog[...]) else { return streamEnded() }
            if count == 0 { return retryLater() }
            backlog.removeFirst(count)
        }
    }

    private func retryLater() {
        guard !retryIsSet else { return }
        retryIsSet = true
        eventLoop.schedule(afterNanoseconds: Self.retryNanoseconds) { [weak self] in
            self?.retryIsSet = false
            self?.flush()
        }
    }
}

extension StreamConsole: ConsoleBackend {
    /// The window of whoever is at the other end is not known here.
    var windowSize: ConsoleWindowSize? { nil }

    func start(client: any ConsoleClient) {
        self.client = client
        HostFiles.ignoreBrokenPipes()
        if let listener {
            listenerSource = eventLoop.register(descriptor: listener) { [weak self] in self?.acceptClient() }
        }
        listen()
    }

    func stop() {
        flush()
        for source in [listenerSource, streamSource].compactMap({ $0 }) { eventLoop.unregister(source) }
        (listenerSource, streamSource, client) = (nil, nil, nil)
    }

    func write(_ bytes: [UInt8]) {
        backlog += bytes
        if backlog.count > Self.backlogLimit { backlog.removeFirst(backlog.count - Self.backlogLimit) }
        if !retryIsSet { flush() }
    }

    func pauseInput() {
        inputIsPaused = true
        updateInterest()
    }

    func resumeInput() {
        inputIsPaused = false
        updateInterest()
    }
}

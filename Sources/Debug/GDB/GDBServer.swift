// SPDX-License-Identifier: Apache-2.0
//
// The gdb remote protocol for a guest: `--gdb=PORT|unix:PATH`. One debugger at a time; it finds the guest
// stopped, and when it leaves, the guest runs on without its breakpoints. This file serves the connection; what
// each packet means is in `GDBSession`.

import Devices
import Support
import X86

/// Listens for a debugger for as long as the process lives, restarts of the guest included.
public final class GDBServer {
    private let listener: ListeningSocket
    private let eventLoop: EventLoop
    private weak var guest: (any DebuggedGuest)?
    private var session: GDBSession?
    private var listenerSource: EventLoop.Source?
    private var clientSource: EventLoop.Source?
    private let notice: (String) -> Void

    /// Opens the socket. `notice` gets lines for people.
    public init(
        _ address: SocketAddress, eventLoop: EventLoop, notice: @escaping (String) -> Void
    ) throws(LguestError) {
        listener = try ListeningSocket(address)
        self.eventLoop = eventLoop
        self.notice = notice
    }

    /// Where a debugger connects to, as gdb's `target remote` wants it.
    public var target: String {
        switch listener.address {
        case .path(let path): path
        case .localPort(let port): ":\(port)"
        }
    }

    /// From now on `guest` is the one to be debugged.
    public func serve(_ guest: any DebuggedGuest) throws(LguestError) {
        self.guest = guest
        if listenerSource == nil {
            try listener.listen()
            listenerSource = eventLoop.register(descriptor: listener.descriptor) { [weak self] in
                self?.accept()
            }
        }
        // A guest that has restarted keeps its debugger and its breakpoints.
        session?.move(to: guest)
    }

    /// No guest any more.
    public func close() {
        session?.guestEnded()
        disconnect()
        if let listenerSource { eventLoop.unregister(listenerSource) }
        listenerSource = nil
    }

    private func accept() {
        guard let connection = listener.accept() else { return }
        guard session == nil, let guest else {
            // One at a time; the newcomer sees the end of the connection.
            return
        }
        notice("a debugger has connected")
        let session = GDBSession(guest, connection)
        self.session = session
        clientSource = eventLoop.register(descriptor: connection.descriptor) { [weak self] in self?.receive()
        }
        guest.interrupt()
    }

    private func receive() {
        guard let session else { return }
        if !session.receive() { disconnect() }
    }

    private func disconnect() {
        guard let session else { return }
        if let clientSource { eventLoop.unregister(clientSource) }
        clientSource = nil
        self.session = nil
        session.end()
        notice("the debugger has gone")
    }
}

extension GDBServer: StopObserver {
    public var isAttached: Bool { session != nil }
    public func guestStopped(_ reason: StopReason) { session?.guestStopped(reason) }
}

// SPDX-License-Identifier: Apache-2.0
//
// The control socket of a running guest: one JSON object a line in, one a line out. A request is
// `{"id": …, "command": "status"}`, its answer `{"id": …, "result": …}` or `{"id": …, "error": "…"}`.

import Devices
import Support
import Trace

/// Serves the control socket for as long as the process lives, restarts of the guest included.
public final class MonitorServer {
    /// What the process says about itself; the rest comes from the guest.
    public struct Identity: Sendable {
        public var name: String
        public var processID: Int32
        public var engine: String

        public init(name: String, processID: Int32, engine: String) {
            self.name = name
            self.processID = processID
            self.engine = engine
        }
    }

    private final class Client {
        let connection: SocketConnection
        var line: [UInt8] = []
        var wantsEvents = false

        init(_ connection: SocketConnection) { self.connection = connection }
    }

    /// A line that is longer is no request.
    private static let lineLimit = 1 << 16
    private static let clientLimit = 16

    private let listener: ListeningSocket
    private let eventLoop: EventLoop
    private let identity: Identity
    private let screen: TerminalScreen
    private weak var guest: (any MonitoredGuest)?
    private var listenerSource: EventLoop.Source?
    private var clients: [Int32: (client: Client, source: EventLoop.Source)] = [:]

    /// Opens the socket at `path`.
    public init(
        path: String, identity: Identity, screen: TerminalScreen, eventLoop: EventLoop
    ) throws(LguestError) {
        listener = try ListeningSocket(.path(path))
        self.eventLoop = eventLoop
        self.identity = identity
        self.screen = screen
    }

    /// From now on `guest` is the one that is meant.
    public func serve(_ guest: any MonitoredGuest) throws(LguestError) {
        self.guest = guest
        guard listenerSource == nil else { return }
        try listener.listen()
        listenerSource = eventLoop.register(descriptor: listener.descriptor) { [weak self] in self?.accept() }
    }

    /// No guest any more; `outcome` is how it ended.
    public func close(outcome: String) {
        tell("ended", [("outcome", .string(outcome))])
        for (_, entry) in clients { eventLoop.unregister(entry.source) }
        clients = [:]
        if let listenerSource { eventLoop.unregister(listenerSource) }
        listenerSource = nil
    }

    /// Tells all who asked for events.
    public func tell(_ event: String, _ members: [(String, JSON)] = []) {
        let line = JSON.object([("event", .string(event))] + members).text
        for (descriptor, entry) in clients where entry.client.wantsEvents { send(line, to: descriptor) }
    }

    private func accept() {
        guard let connection = listener.accept(), clients.count < Self.clientLimit else { return }
        let descriptor = connection.descriptor
        let source = eventLoop.register(descriptor: descriptor) { [weak self] in self?.receive(descriptor) }
        clients[descriptor] = (Client(connection), source)
    }

    private func receive(_ descriptor: Int32) {
        guard let client = clients[descriptor]?.client else { return }
        switch client.connection.receive() {
        case .nothingNow: break
        case .ended: drop(descriptor)
        case .bytes(let bytes):
            for byte in bytes {
                if byte != UInt8(ascii: "\n") {
                    client.line.append(byte)
                } else {
                    let line = client.line
                    client.line = []
                    if !line.isEmpty { send(answer(line, client).text, to: descriptor) }
                }
            }
            if client.line.count > Self.lineLimit { drop(descriptor) }
        }
    }

    private func send(_ line: String, to descriptor: Int32) {
        guard let entry = clients[descriptor] else { return }
        if !entry.client.connection.send(Array(line.utf8) + [UInt8(ascii: "\n")]) { drop(descriptor) }
    }

    private func drop(_ descriptor: Int32) {
        guard let entry = clients.removeValue(forKey: descriptor) else { return }
        eventLoop.unregister(entry.source)
    }

    private func answer(_ line: [UInt8], _ client: Client) -> JSON {
        guard let request = JSON(parsing: line) else { return Self.error("not a JSON object", nil) }
        guard let command = request["command"]?.string else {
            return Self.error("no \"command\" in the request", request["id"])
        }
        if command == "events" {
            client.wantsEvents = true
            return Self.result(.bool(true), request["id"])
        }
        guard let guest else { return Self.error("there is no guest now", request["id"]) }
        let answers = MonitorCommands(guest: guest, identity: identity, screen: screen)
        switch answers.run(command, request) {
        case .success(let value): return Self.result(value, request["id"])
        case .failure(let failure): return Self.error(failure.text, request["id"])
        }
    }

    private static func result(_ value: JSON, _ id: JSON?) -> JSON {
        .object([("id", id ?? .null), ("result", value)])
    }

    private static func error(_ text: String, _ id: JSON?) -> JSON {
        .object([("id", id ?? .null), ("error", .string(text))])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The other end of the control socket, for `lguest monitor` and `lguest ps`.

import Support
import Trace

public final class MonitorClient {
    private let connection: SocketConnection
    private var received: [UInt8] = []
    private static let lineLimit = 1 << 22

    /// Connects to the socket at `path`. Throws `.badInput` when nobody listens there.
    public init(path: String) throws(LguestError) { connection = try SocketConnection(path: path) }

    /// The answer to a command. Throws when there is none within `milliseconds`, or it is an error.
    public func ask(
        _ command: String, _ members: [(String, JSON)] = [], milliseconds: Int32 = 10_000
    ) throws(LguestError) -> JSON {
        let request = JSON.object(
            [("id", .integer(1)), ("command", .string(command))] + members)
        guard connection.send(Array(request.text.utf8) + [UInt8(ascii: "\n")]) else {
            throw LguestError(.host, "the guest has gone")
        }
        while true {
            guard let line = try nextLine(milliseconds), let answer = JSON(parsing: line) else {
                throw LguestError(.host, "the guest has gone")
            }
            if answer["event"] != nil { continue }
            if let text = answer["error"]?.string { throw LguestError(.badInput, text.asOneLine) }
            return answer["result"] ?? .null
        }
    }

    /// The next line; nil when the guest has gone. Throws after `milliseconds` of silence.
    public func nextLine(_ milliseconds: Int32) throws(LguestError) -> [UInt8]? {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return Array(received[..<end])
            }
            guard received.count < Self.lineLimit, connection.waitForInput(milliseconds: milliseconds) else {
                throw LguestError(.host, "the guest does not answer")
            }
            switch connection.receive() {
            case .bytes(let bytes): received += bytes
            case .nothingNow: break
            case .ended: return nil
            }
        }
    }
}

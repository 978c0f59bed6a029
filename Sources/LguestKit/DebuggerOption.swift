// SPDX-License-Identifier: Apache-2.0
//
// `--gdb=PORT|unix:PATH[,nowait]`.

import Support

/// Where a debugger may connect, and whether the guest waits for it.
public struct DebuggerOption: Equatable, Sendable {
    public var address: SocketAddress
    /// The guest does not begin before a debugger lets it.
    public var waits: Bool

    public init(address: SocketAddress, waits: Bool = true) {
        self.address = address
        self.waits = waits
    }

    /// Throws `.badInput` for words that make no sense.
    public init(parsing text: String) throws(LguestError) {
        var words = text
        waits = true
        if words.hasSuffix(",nowait") {
            waits = false
            words.removeLast(7)
        }
        if words.hasPrefix("unix:"), words.utf8.count > 5 {
            address = .path(String(words.dropFirst(5)))
        } else if let port = UInt16(words.hasPrefix(":") ? String(words.dropFirst()) : words) {
            address = .localPort(port)
        } else {
            throw LguestError(
                .badInput, "'\(text.asOneLine)' is no place for gdb to connect to",
                hint: "--gdb=1234 or --gdb=unix:/tmp/gdb.sock")
        }
    }
}

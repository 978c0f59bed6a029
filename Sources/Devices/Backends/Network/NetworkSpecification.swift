// SPDX-License-Identifier: Apache-2.0
//
// `--tunnet=IP[:MAC]`, `--tunnet=bridge:NAME[:MAC]`, `--net=user[,hostfwd=tcp:HOSTPORT:GUESTPORT…]` and
// `--net=passt[,…]` in words.

import Support

/// Which network a card is on.
public struct NetworkSpecification: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// A TAP interface of the host whose end there has this IPv4 address.
        case tap(address: UInt32)
        /// A TAP interface in a bridge of the host.
        case bridge(String)
        /// libslirp, within this process.
        case user
        /// passt, a process of its own.
        case passt
    }

    /// A port of the host that leads to one of the guest.
    public struct Forward: Equatable, Sendable {
        public var isUDP: Bool
        public var hostPort: UInt16
        public var guestPort: UInt16

        public init(isUDP: Bool = false, hostPort: UInt16, guestPort: UInt16) {
            self.isUDP = isUDP
            self.hostPort = hostPort
            self.guestPort = guestPort
        }
    }

    public var kind: Kind
    /// The card's address; nil for any.
    public var mac: MACAddress?
    public var forwards: [Forward] = []

    public init(_ kind: Kind, mac: MACAddress? = nil, forwards: [Forward] = []) {
        self.kind = kind
        self.mac = mac
        self.forwards = forwards
    }

    /// The value of `--tunnet` (docs: lguest ABI 10.1). Throws `.badInput` when it is none.
    public init(tunnet text: String) throws(LguestError) {
        let isBridge = text.hasPrefix("bridge:")
        let parts = (isBridge ? text.dropFirst(7) : text[...]).split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if isBridge {
            // An interface name of the host has at most 15 characters (IFNAMSIZ).
            guard let name = parts.first, !name.isEmpty, name.utf8.count < 16 else { throw Self.bad(text) }
            kind = .bridge(String(name))
        } else {
            guard let address = parts.first.flatMap({ Self.address($0) }) else { throw Self.bad(text) }
            kind = .tap(address: address)
        }
        if parts.count == 2 { mac = try MACAddress(parsing: String(parts[1])) }
    }

    /// The value of `--net`. Throws `.badInput` when it is none.
    public init(net text: String) throws(LguestError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        switch parts.first {
        case "user": kind = .user
        case "passt": kind = .passt
        default: throw Self.bad(text)
        }
        for part in parts.dropFirst() {
            if part.hasPrefix("hostfwd=") {
                forwards.append(try Self.forward(part.dropFirst(8)))
            } else if part.hasPrefix("mac=") {
                mac = try MACAddress(parsing: String(part.dropFirst(4)))
            } else {
                throw Self.bad(text)
            }
        }
    }

    private static func forward(_ text: Substring) throws(LguestError) -> Forward {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "tcp" || parts[0] == "udp", let host = UInt16(parts[1]),
            let guest = UInt16(parts[2]), host > 0, guest > 0
        else {
            throw LguestError(
                .badInput, "'\(String(text).asOneLine)' is no port to forward",
                hint: "hostfwd=tcp:HOSTPORT:GUESTPORT, or udp")
        }
        return Forward(isUDP: parts[0] == "udp", hostPort: host, guestPort: guest)
    }

    /// `192.168.19.1` as a number, the first part highest.
    private static func address(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { $0.hasPrefix("+") ? nil : UInt8($0) }
        guard parts.count == 4, bytes.count == 4 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func bad(_ text: String) -> LguestError {
        LguestError(
            .badInput, "'\(text.asOneLine)' is no network",
            hint: "--tunnet=IP[:MAC], --tunnet=bridge:NAME[:MAC], --net=user[,hostfwd=tcp:HOSTPORT:GUESTPORT]"
                + " or --net=passt")
    }
}

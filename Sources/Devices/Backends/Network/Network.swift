// SPDX-License-Identifier: Apache-2.0
//
// From what the command line names to a network.

import Support

/// A network that a card can be connected to.
public final class Network {
    let backend: any NetworkBackend
    /// The card's address.
    public let mac: MACAddress
    /// The host's name for its end, if it has one: "tap0".
    public let interface: String?
    /// The program that carries it, if there is one.
    public var childProcess: Int32? { (backend as? PasstBackend)?.processNumber }

    init(backend: any NetworkBackend, mac: MACAddress) {
        self.backend = backend
        self.mac = mac
        interface = nil
    }

    /// Throws `.host` for what the host does not give.
    public init(
        _ specification: NetworkSpecification, eventLoop: EventLoop, random: any RandomSource,
        warn: @escaping (String) -> Void
    ) throws(LguestError) {
        mac = specification.mac ?? MACAddress(random: random)
        switch specification.kind {
        case .tap, .bridge:
            let tap = try TapBackend(specification.kind, eventLoop: eventLoop)
            backend = tap
            interface = tap.interface
        case .user:
            backend = try SlirpBackend(forwards: specification.forwards, eventLoop: eventLoop, warn: warn)
            interface = nil
        case .passt:
            backend = try PasstBackend(forwards: specification.forwards, eventLoop: eventLoop, warn: warn)
            interface = nil
        }
    }

    public func close() { backend.close() }
}

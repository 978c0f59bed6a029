// SPDX-License-Identifier: Apache-2.0
//
// A network card on a TAP interface of the host, as in the original lguest (lguest ABI 10.2). The host's kernel
// does what the guest leaves undone, and the other way round, so that long segments pass whole.

import CHost
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A TAP interface, which goes away with this object.
final class TapBackend: NetworkBackend {
    /// A segment of 64 KiB, its link header with a VLAN tag, and the header for offloads.
    private static let frameLimit = 65536 + 18 + FrameOffload.byteCount
    /// Frames read in one go, before others get their turn.
    private static let burst = 64

    /// The host's name for it: "tap0".
    let interface: String
    private var descriptor: Int32
    private let eventLoop: EventLoop
    private var source: EventLoop.Source?
    private weak var client: (any NetworkClient)?
    /// The latest frame behind its header.
    private var buffer = [UInt8](repeating: 0, count: frameLimit)
    /// Bytes of it that were read, but the client had no room.
    private var held = 0

    /// - Parameter kind: `.tap` or `.bridge`.
    /// - Throws: `.host` when the host has no TAP interfaces for us.
    init(_ kind: NetworkSpecification.Kind, eventLoop: EventLoop) throws(LguestError) {
        self.eventLoop = eventLoop
        var name = [CChar](repeating: 0, count: Int(LGUEST_TAP_NAME))
        for (index, byte) in "tap%d".utf8.enumerated() { name[index] = CChar(byte) }
        // SAFETY: the array has the length that the function wants, and ends with a zero byte.
        descriptor = lguest_tap_open(&name)
        interface = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard descriptor >= 0 else { throw Self.cannotOpen(-descriptor) }
        let result: Int32
        let what: String
        switch kind {
        case .tap(let address):
            result = lguest_tap_set_address(interface, address)
            what = "give it its address"
        case .bridge(let bridge):
            result = lguest_tap_join_bridge(interface, bridge)
            what = "add it to the bridge '\(bridge.asOneLine)'"
        case .user, .passt:
            result = -EINVAL
            what = "use it for that"
        }
        guard result == 0 else {
            throw LguestError(.host, "cannot set up '\(interface)': \(what): \(HostIO.message(-result))")
        }
    }

    private static func cannotOpen(_ reason: Int32) -> LguestError {
        let hint = "--net=user needs no privilege"
        switch reason {
        case ENOENT, ENODEV, ENXIO:
            return LguestError(
                .host, "cannot make a network interface: this host has no /dev/net/tun", hint: hint)
        case EPERM, EACCES:
            return LguestError(
                .host, "cannot make a network interface: that needs the capability CAP_NET_ADMIN", hint: hint)
        default:
            return LguestError(
                .host, "cannot make a network interface: \(HostIO.message(reason))", hint: hint)
        }
    }

    deinit {
        if descriptor >= 0 { HostIO.close(descriptor) }
    }

    var offloads: NetworkOffloads { .all }
    var leaves: NetworkOffloads { .all }

    func start(client: any NetworkClient, accepted: NetworkOffloads) {
        self.client = client
        // Without checksums the kernel has no segmentation either.
        let wanted = accepted.contains(.checksum) ? accepted : []
        _ = lguest_tap_set_offloads(descriptor, UInt32(wanted.rawValue))
        if source == nil {
            source = eventLoop.register(descriptor: descriptor) { [weak self] in self?.receive() }
        }
    }

    func stop() {
        if let source { eventLoop.unregister(source) }
        source = nil
        held = 0
        client = nil
    }

    func close() {
        stop()
        if descriptor >= 0 { HostIO.close(descriptor) }
        descriptor = -1
    }

    func send(_ frame: HostBuffers, _ offload: FrameOffload) {
        // SAFETY: the vector describes memory that the buffers keep, valid during the call. A frame that the
        // kernel does not take is lost.
        _ = frame.prefixed(by: offload.bytes).withVector { writev(descriptor, $0, $1) }
    }

    func sendingEnded() {}

    func receiveMore() {
        guard let source else { return }
        if held > 0 {
            guard deliver(held) else { return }
            held = 0
        }
        eventLoop.setEnabled(source, true)
        receive()
    }

    private func receive() {
        guard let client else { return }
        for _ in 0..<Self.burst {
            let count = HostIO.read(descriptor, into: &buffer)
            guard count > 0 else { break }
            if !deliver(count) {
                held = count
                if let source { eventLoop.setEnabled(source, false) }
                break
            }
        }
        client.framesEnded()
    }

    /// Hands over what was read; false when the client has no room.
    private func deliver(_ count: Int) -> Bool {
        guard count > FrameOffload.byteCount else { return true }
        let offload = FrameOffload(buffer[..<FrameOffload.byteCount])
        return client?.frameArrived(buffer[FrameOffload.byteCount..<count], offload) ?? true
    }
}

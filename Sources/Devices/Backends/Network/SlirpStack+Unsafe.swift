// SPDX-License-Identifier: Apache-2.0
//
// libslirp on a thread of its own: a TCP/IP stack inside this process that speaks to the guest in Ethernet
// frames, and to the world in ordinary sockets, for which nobody needs a privilege.
//
// The guest's network is 10.0.2.0/24: gateway 10.0.2.2 (which is also this host), name server 10.0.2.3, guest
// 10.0.2.15, given by DHCP.

import CHost
import CSlirp
import Support
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Frames on their way between the stack's thread and the machine's.
final class FrameMailbox: Sendable {
    struct Content {
        var toGuest: [NetworkFrame] = []
        var toNetwork: [NetworkFrame] = []
        var isEnding = false
        /// The guest takes long segments.
        var joinsSegments = false
    }

    /// Frames that wait for the guest or for the stack; more are lost.
    static let limit = 4096
    let content = Mutex(Content())
}

/// A libslirp instance. After `start` everything but `mailbox` and `waker` belongs to its thread.
final class SlirpStack: @unchecked Sendable {
    // SAFETY (of `@unchecked Sendable`): `init` and `forward` run before the thread starts, everything
    // else on the thread, which is joined before the last reference goes.
    let mailbox = FrameMailbox()
    let waker: EventWaker
    private let machine: EventWaker
    private let clock: any HostClock & Sendable
    private let callbacks: UnsafeMutablePointer<SlirpCb>
    private var slirp: OpaquePointer?
    private var list: [pollfd] = []
    /// For the guest, of this turn.
    private var arrived: [NetworkFrame] = []
    private var joinsSegments = false
    private var thread: pthread_t?

    /// - Parameter machine: woken when there are frames for the guest.
    init(machine: EventWaker) throws(LguestError) {
        self.machine = machine
        clock = SystemClock()
        let descriptor = HostIO.makeEventDescriptor()
        guard descriptor >= 0 else {
            throw LguestError(.host, "cannot make an event descriptor: \(HostIO.message(-descriptor))")
        }
        waker = EventWaker(descriptor: descriptor)
        callbacks = .allocate(capacity: 1)
        callbacks.initialize(to: Self.makeCallbacks())
        var configuration = SlirpConfig()
        configuration.version = 1
        configuration.in_enabled = true
        configuration.vnetwork = Self.address(10, 0, 2, 0)
        configuration.vnetmask = Self.address(255, 255, 255, 0)
        configuration.vhost = Self.address(10, 0, 2, 2)
        configuration.vdhcp_start = Self.guestAddress
        configuration.vnameserver = Self.address(10, 0, 2, 3)
        // SAFETY: the configuration is read during the call only. The callbacks live until `deinit`, as does
        // `self`, which is what the opaque pointer names.
        slirp = slirp_new(&configuration, callbacks, Unmanaged.passUnretained(self).toOpaque())
        guard slirp != nil else { throw LguestError(.host, "libslirp does not start") }
    }

    deinit {
        // SAFETY: the thread has ended (`stop`), and nobody else uses these.
        if let slirp { slirp_cleanup(slirp) }
        callbacks.deallocate()
    }

    private static let guestAddress = address(10, 0, 2, 15)

    private static func address(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> in_addr {
        in_addr(s_addr: (a << 24 | b << 16 | c << 8 | d).bigEndian)
    }

    /// Leads a port of this host (loopback only) to the guest. Only before `start`.
    func forward(_ forward: NetworkSpecification.Forward) throws(LguestError) {
        let result = slirp_add_hostfwd(
            slirp, forward.isUDP ? 1 : 0, Self.address(127, 0, 0, 1), Int32(forward.hostPort),
            Self.guestAddress, Int32(forward.guestPort))
        guard result == 0 else {
            throw LguestError(
                .host, "cannot listen on port \(forward.hostPort) of this host: \(HostIO.message(errno))")
        }
    }

    /// Starts the thread.
    func start() throws(LguestError) {
        guard thread == nil else { return }
        thread = Monitor.startThread { [self] in run() }
        guard thread != nil else { throw LguestError(.host, "cannot start a thread for the network") }
    }

    /// Ends the thread.
    func stop() {
        guard let thread else { return }
        mailbox.content.withLock { $0.isEnding = true }
        waker.wake()
        pthread_join(thread, nil)
        self.thread = nil
        // SAFETY: the thread that used it has ended. Its sockets must not wait for our own end.
        if let slirp { slirp_cleanup(slirp) }
        slirp = nil
    }

    // MARK: On the thread

    private func run() {
        while true {
            var milliseconds = UInt32.max
            list = [pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)]
            // What the guest has not taken yet must not grow: the sockets wait.
            let waiting = mailbox.content.withLock { $0.toGuest.count }
            let mayRead = waiting < FrameMailbox.limit / 4
            let me = Unmanaged.passUnretained(self).toOpaque()
            if mayRead {
                // SAFETY: `me` is alive; the callback is called during this call only.
                slirp_pollfds_fill(slirp, &milliseconds, Self.addPoll, me)
            } else {
                milliseconds = 1
            }
            let limit = milliseconds == .max ? nil : UInt64(milliseconds) * 1_000_000
            let ready = HostIO.wait(&list, nanoseconds: limit)
            if ready > 0, list[0].revents != 0 { waker.lower() }
            let (frames, isEnding) = mailbox.content.withLock { content in
                defer { content.toNetwork.removeAll(keepingCapacity: true) }
                joinsSegments = content.joinsSegments
                return (content.toNetwork, content.isEnding)
            }
            if isEnding { return }
            for frame in frames {
                guard let whole = FrameFinisher.finish(frame.bytes, frame.offload) else { continue }
                slirp_input(slirp, whole, Int32(whole.count))
            }
            // SAFETY: as above.
            if mayRead { slirp_pollfds_poll(slirp, 0, Self.events, me) }
            deliver()
        }
    }

    /// A frame for the guest.
    private func keep(_ bytes: [UInt8]) {
        var frame = NetworkFrame(bytes: bytes)
        // The stack has made the checksums itself, and no wire was in between.
        frame.offload.flags = FrameOffload.checksumIsGood
        if joinsSegments, let last = arrived.indices.last, SegmentJoiner.join(frame, to: &arrived[last]) {
            return
        }
        arrived.append(frame)
    }

    /// Hands what has arrived to the machine's thread.
    private func deliver() {
        guard !arrived.isEmpty else { return }
        mailbox.content.withLock { content in
            content.toGuest += arrived.prefix(max(0, FrameMailbox.limit - content.toGuest.count))
        }
        arrived.removeAll(keepingCapacity: true)
        machine.wake()
    }

    private static func stack(_ opaque: UnsafeMutableRawPointer?) -> SlirpStack? {
        // SAFETY: libslirp hands back the pointer that `init` gave it, to an object that outlives it.
        opaque.map { Unmanaged<SlirpStack>.fromOpaque($0).takeUnretainedValue() }
    }

    private static let addPoll: SlirpAddPollCb = { descriptor, events, opaque in
        guard let stack = SlirpStack.stack(opaque) else { return -1 }
        var wanted: Int32 = 0
        if events & Int32(SLIRP_POLL_IN) != 0 { wanted |= POLLIN }
        if events & Int32(SLIRP_POLL_OUT) != 0 { wanted |= POLLOUT }
        if events & Int32(SLIRP_POLL_PRI) != 0 { wanted |= POLLPRI }
        stack.list.append(pollfd(fd: descriptor, events: Int16(wanted), revents: 0))
        return Int32(stack.list.count - 1)
    }

    private static let events: SlirpGetREventsCb = { index, opaque in
        guard let stack = SlirpStack.stack(opaque), stack.list.indices.contains(Int(index)) else { return 0 }
        let found = Int32(stack.list[Int(index)].revents)
        var result: Int32 = 0
        if found & POLLIN != 0 { result |= Int32(SLIRP_POLL_IN) }
        if found & POLLOUT != 0 { result |= Int32(SLIRP_POLL_OUT) }
        if found & POLLPRI != 0 { result |= Int32(SLIRP_POLL_PRI) }
        if found & POLLERR != 0 { result |= Int32(SLIRP_POLL_ERR) }
        if found & POLLHUP != 0 { result |= Int32(SLIRP_POLL_HUP) }
        return result
    }

    private static func makeCallbacks() -> SlirpCb {
        var callbacks = SlirpCb()
        callbacks.send_packet = { bytes, count, opaque in
            // SAFETY: libslirp gives `count` bytes that are valid during the call.
            let frame = [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
            SlirpStack.stack(opaque)?.keep(frame)
            return count
        }
        callbacks.guest_error = { _, _ in }
        callbacks.clock_get_ns = { opaque in
            Int64(SlirpStack.stack(opaque)?.clock.monotonicNanoseconds() ?? 0)
        }
        // Timers serve IPv6 router advertisements alone, which are off.
        callbacks.timer_new = { _, _, _ in nil }
        callbacks.timer_free = { _, _ in }
        callbacks.timer_mod = { _, _, _ in }
        callbacks.register_poll_fd = { _, _ in }
        callbacks.unregister_poll_fd = { _, _ in }
        callbacks.notify = { opaque in SlirpStack.stack(opaque)?.waker.wake() }
        return callbacks
    }
}

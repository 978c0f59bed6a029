// SPDX-License-Identifier: Apache-2.0
//
// The network card of Linux 2.6.23: a page with the Ethernet addresses of all who are on the network, the host in
// slot 0 and the guest in slot 1. A frame is sent to the key of its receiver's slot. There are no offloads.

/// A network card on the DMA bus.
final class DMANet {
    static let guestSlot = 1
    /// Set in the first byte of an address: its owner wants all frames.
    private static let promiscuous: UInt8 = 1
    private static let retryNanoseconds: UInt64 = 1_000_000
    /// Header and payload; the driver's lists hold so much.
    private static let frameLimit = 1514

    private let network: Network
    private let page: UInt64
    private unowned let bus: LguestDMABus
    private var isStarted = false
    private var timerIsSet = false
    private var hasDelivered = false

    init(_ network: Network, page: UInt64, _ bus: LguestDMABus) {
        self.network = network
        self.page = page
        self.bus = bus
        // Any address but the guest's; what counts is that it wants all frames.
        try? bus.memory.writeBytes([0x02 | Self.promiscuous, 0, 0, 0, 0, 1], at: page)
    }

    /// Keys are four bytes apart, although addresses are six.
    private func key(_ slot: Int) -> UInt32 { UInt32(truncatingIfNeeded: page) + UInt32(4 * slot) }

    private func retryLater() {
        guard !timerIsSet else { return }
        timerIsSet = true
        bus.eventLoop.schedule(afterNanoseconds: Self.retryNanoseconds) { [weak self] in
            self?.timerIsSet = false
            if self?.isStarted == true { self?.network.backend.receiveMore() }
        }
    }
}

extension DMANet: DMADevice {
    func listens(to key: UInt32) -> Bool { key == self.key(0) || key == self.key(Self.guestSlot) }

    func received(_ list: DMAList) -> Int {
        network.backend.send(list.buffers(bus.memory), FrameOffload())
        network.backend.sendingEnded()
        return list.count
    }

    func start() {
        guard bus.freeList(key(Self.guestSlot)) != nil, !isStarted else { return }
        isStarted = true
        network.backend.start(client: self, accepted: [])
    }

    func stop() {
        if isStarted { network.backend.stop() }
        isStarted = false
    }
}

extension DMANet: NetworkClient {
    func frameArrived(_ bytes: ArraySlice<UInt8>, _ offload: FrameOffload) -> Bool {
        // What is longer has no place in any list.
        guard bytes.count <= Self.frameLimit else { return true }
        guard let list = bus.freeList(key(Self.guestSlot)) else {
            retryLater()
            return false
        }
        guard list.count >= bytes.count else { return true }
        list.announceWrite(bus.memory)
        list.buffers(bus.memory).store(bytes)
        list.setUsed(bytes.count, bus.memory)
        hasDelivered = true
        return true
    }

    func framesEnded() {
        if hasDelivered { bus.raise(key(Self.guestSlot)) }
        hasDelivered = false
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A network card's driver: pages for frames to come, and slots for frames to go. Before each frame lies a header
// that says what is left undone in it: a checksum, or the cutting of a long segment.
import Machine

struct NetCard {
    enum Feature {
        static let checksum: UInt32 = 1 << 0
        static let guestChecksum: UInt32 = 1 << 1
        static let address: UInt32 = 1 << 5
        static let guestTCP4: UInt32 = 1 << 7
        static let hostTCP4: UInt32 = 1 << 11
        static let mergeable: UInt32 = 1 << 15

        static let plain = address
        static let all = address | checksum | guestChecksum | guestTCP4 | hostTCP4 | mergeable
    }

    /// A received frame, whole and in one piece.
    struct Frame {
        var start: VirtualAddress
        var count: UInt32
        /// The header's first byte: 1 the checksum is to be done, 2 it is good.
        var flags: UInt8
    }

    private static let receiveSlots: UInt32 = 128
    private static let transmitSlots: UInt32 = 32
    /// Bytes of a transmit slot: the device's header and the frame's own headers, or a small frame.
    private static let slotBytes: UInt32 = 2048
    static let frameOffset: UInt32 = 16
    private static let largestFrame: UInt32 = 65536 + 64

    let link: DeviceLink
    let features: UInt32
    let mac: MAC
    private var receive: Ring
    private var transmit: Ring
    private let headerBytes: UInt32
    private let incoming: PhysicalAddress
    private let outgoing: PhysicalAddress
    /// For frames that came in several pieces.
    private let assembly: VirtualAddress
    private var freeSlots: UInt32 = .max
    /// The buffer of the frame that is being looked at.
    private var held: UInt32?
    /// Receive buffers to be offered again with the next kick.
    private var returned: UInt32 = 0

    /// The number of the card: 0 for what Linux calls eth0.
    init?(number: UInt32, _ way: DeviceWay, wanted: UInt32) {
        guard let link = DeviceLink.find(.net, number: number, way) else { return nil }
        // A long segment needs several of our pages, so the one is not to be had without the other.
        guard var features = link.negotiate(wanted) else { return nil }
        if features & Feature.mergeable == 0, features & Feature.guestTCP4 != 0 {
            guard let fewer = link.negotiate(wanted & ~Feature.guestTCP4) else { return nil }
            features = fewer
        }
        self.link = link
        self.features = features
        mac = MAC { link.configuration8($0) }
        headerBytes = way == .pci || features & Feature.mergeable != 0 ? 12 : 10
        receive = link.makeRing(0)
        transmit = link.makeRing(1)
        incoming = PageFrames.allocateRun(NetCard.receiveSlots)
        outgoing = PageFrames.allocateRun(NetCard.transmitSlots * NetCard.slotBytes / PageFrames.bytes)
        assembly = PageFrames.allocateRun(NetCard.largestFrame / PageFrames.bytes + 1).inKernel
        DeviceInterrupts.use(receive)
        DeviceInterrupts.use(transmit)
        // We look for finished slots when we need one.
        transmit.wantInterrupts(false)
        link.start()
        for slot in 0..<NetCard.receiveSlots { offer(slot) }
        link.kick(receive)
        returned = 0
    }

    private mutating func offer(_ slot: UInt32) {
        receive.describe(
            slot, incoming + slot * PageFrames.bytes, PageFrames.bytes, flags: Ring.deviceWrites)
        receive.offer(slot)
        returned += 1
    }

    private func page(_ slot: UInt32) -> VirtualAddress {
        (incoming + (slot % NetCard.receiveSlots) * PageFrames.bytes).inKernel
    }

    var hasReceived: Bool { receive.hasUsed }

    /// The next frame, good until the next call; nil when there is none.
    mutating func next() -> Frame? {
        if let slot = held { offer(slot) }
        held = nil
        guard let first = receive.take() else { return nil }
        let start = page(first.head)
        let flags = Memory.read8(start)
        let payload = first.bytes - min(first.bytes, headerBytes)
        let pieces = features & Feature.mergeable != 0 ? Memory.read16(start + 10) : 1
        if pieces <= 1 {
            held = first.head
            return Frame(start: start + headerBytes, count: payload, flags: flags)
        }
        Memory.copy(from: start + headerBytes, to: assembly, count: payload)
        offer(first.head)
        var count = payload
        for _ in 1..<pieces {
            guard let more = receive.take() else { break }
            let part = min(more.bytes, NetCard.largestFrame - count)
            Memory.copy(from: page(more.head), to: assembly + count, count: part)
            count += part
            offer(more.head)
        }
        return Frame(start: assembly, count: count, flags: flags)
    }

    /// Gives the buffers that were used up back to the device.
    mutating func giveBack() {
        guard returned > 0 else { return }
        returned = 0
        link.kick(receive)
    }

    // MARK: Sending

    /// A slot for a frame; waits for the device if all are on their way.
    mutating func takeSlot() -> UInt32 {
        while true {
            while let done = transmit.take() { freeSlots |= 1 << (done.head / 2) }
            if freeSlots != 0 { break }
            link.kick(transmit)
            Timer.spin(microseconds: 10_000_000) { transmit.hasUsed }
        }
        let slot = UInt32(truncatingIfNeeded: freeSlots.trailingZeroBitCount)
        freeSlots &= ~(1 << slot)
        Memory.clear((outgoing + slot * NetCard.slotBytes).inKernel, count: NetCard.frameOffset)
        return slot
    }

    /// Where the frame of a slot is to be written.
    func frame(_ slot: UInt32) -> VirtualAddress {
        (outgoing + (slot * NetCard.slotBytes + NetCard.frameOffset)).inKernel
    }

    /// What the device is to do: a checksum from `start` on into the word at `offset` there, and segments of `size`
    /// bytes, or 0 for none.
    func leave(_ slot: UInt32, checksumStart start: UInt32, offset: UInt32, headers: UInt32, size: UInt32) {
        let header = (outgoing + (slot * NetCard.slotBytes + NetCard.frameOffset - headerBytes)).inKernel
        Memory.write8(header, 1)
        Memory.write8(header + 1, size > 0 ? 1 : 0)
        Memory.write16(header + 2, UInt16(headers))
        Memory.write16(header + 4, UInt16(size))
        Memory.write16(header + 6, UInt16(start))
        Memory.write16(header + 8, UInt16(offset))
    }

    /// Hands over the first `count` bytes of the slot's frame, and `more` bytes from elsewhere behind them.
    mutating func send(_ slot: UInt32, count: UInt32, then place: PhysicalAddress? = nil, more: UInt32 = 0) {
        let start = outgoing + (slot * NetCard.slotBytes + NetCard.frameOffset - headerBytes)
        let isLong = more > 0
        transmit.describe(
            slot * 2, start, headerBytes + count, flags: isLong ? Ring.next : 0, next: slot * 2 + 1)
        if isLong, let place { transmit.describe(slot * 2 + 1, place, more, flags: 0) }
        transmit.offer(slot * 2)
    }

    func kick() { link.kick(transmit) }
}

/// An Ethernet address: the first two bytes and the last four, as numbers.
struct MAC: Equatable {
    var high: UInt16 = 0
    var low: UInt32 = 0

    static let broadcast = MAC(high: 0xFFFF, low: 0xFFFF_FFFF)

    init(high: UInt16 = 0, low: UInt32 = 0) {
        self.high = high
        self.low = low
    }

    init(_ byte: (UInt32) -> UInt8) {
        high = UInt16(byte(0)) << 8 | UInt16(byte(1))
        for index in UInt32(2)..<6 { low = low << 8 | UInt32(byte(index)) }
    }
}

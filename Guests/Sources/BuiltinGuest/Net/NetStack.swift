// SPDX-License-Identifier: Apache-2.0
//
// A host on the Internet in four parts: ARP and ping are answered here, UDP port 7 sends everything back, TCP is
// in `TCPServer`. Just enough to show that a network works, and how fast.
import Machine

enum NetStack {
    nonisolated(unsafe) static var card: NetCard?
    nonisolated(unsafe) static var address: UInt32 = 0
    nonisolated(unsafe) static var pings: UInt32 = 0
    /// Frames with a wrong checksum.
    nonisolated(unsafe) static var bad: UInt32 = 0
    /// Set by a datagram "quit" to port 9.
    nonisolated(unsafe) static var isEnding = false

    private enum Offset {
        static let type: UInt32 = 12
        static let ip: UInt32 = 14
    }

    /// Deals with everything that has arrived.
    static func poll() {
        while let frame = card?.next() { received(frame) }
        TCPServer.batchEnded()
        card?.giveBack()
    }

    private static func received(_ frame: NetCard.Frame) {
        guard frame.count >= 42 else { return }
        switch Wire.read16(frame.start + Offset.type) {
        case 0x0806: arp(frame)
        case 0x0800: ip(frame)
        default: break
        }
    }

    /// "Who has our address?"
    private static func arp(_ frame: NetCard.Frame) {
        let request = frame.start + 14
        guard Wire.read16(request + 6) == 1, Wire.read32(request + 24) == address else { return }
        guard let mac = card?.mac, let slot = card?.takeSlot(), let reply = card?.frame(slot) else { return }
        Memory.copy(from: frame.start, to: reply, count: 42)
        Wire.writeMAC(reply, Wire.readMAC(frame.start + 6))
        Wire.writeMAC(reply + 6, mac)
        Wire.write16(reply + 20, 2)
        Memory.copy(from: request + 8, to: reply + 32, count: 10)
        Wire.writeMAC(reply + 22, mac)
        Wire.write32(reply + 28, address)
        card?.send(slot, count: 60)
        card?.kick()
    }

    private static func ip(_ frame: NetCard.Frame) {
        let header = frame.start + Offset.ip
        let length = UInt32(Wire.read16(header + 2))
        let to = Wire.read32(header + 16)
        // No options, no fragments.
        guard Memory.read8(header) == 0x45, length >= 28, length + Offset.ip <= frame.count,
            Wire.read16(header + 6) & 0x3FFF == 0, to == address || address == 0 || to == 0xFFFF_FFFF
        else { return }
        guard Wire.fold(Wire.sum(header, 20)) == 0xFFFF else {
            bad += 1
            return
        }
        let payload = header + 20
        switch Memory.read8(header + 9) {
        case 1: icmp(frame, payload, length)
        case 6: if isWhole(frame, 6, length) { TCPServer.received(frame, payload, length - 20) }
        case 17: if isWhole(frame, 17, length) { udp(frame, payload, length) }
        default: break
        }
    }

    /// Whether the checksum is good, or the host says that it need not be looked at.
    private static func isWhole(_ frame: NetCard.Frame, _ number: UInt32, _ length: UInt32) -> Bool {
        if frame.flags & 3 != 0 { return true }
        let header = frame.start + Offset.ip
        if number == 17, Wire.read16(header + 26) == 0 { return true }
        let pseudo = Wire.pseudoSum(
            Wire.read32(header + 12), Wire.read32(header + 16), protocol: number, length: length - 20)
        let isGood = Wire.fold(Wire.sum(header + 20, length - 20, from: pseudo)) == 0xFFFF
        if !isGood { bad += 1 }
        return isGood
    }

    /// A copy of a received frame in a slot, on the way back to where it came from; nil when it is too long.
    private static func turnAround(_ frame: NetCard.Frame, _ count: UInt32) -> (UInt32, VirtualAddress)? {
        guard count <= 1600, let mac = card?.mac, let slot = card?.takeSlot(), let reply = card?.frame(slot)
        else { return nil }
        Memory.copy(from: frame.start, to: reply, count: count)
        Wire.writeMAC(reply, Wire.readMAC(frame.start + 6))
        Wire.writeMAC(reply + 6, mac)
        Wire.write32(reply + 26, address)
        Wire.write32(reply + 30, Wire.read32(frame.start + 26))
        finishIP(reply + Offset.ip, length: count - Offset.ip)
        return (slot, reply)
    }

    static func finishIP(_ header: VirtualAddress, length: UInt32) {
        Wire.write16(header + 2, UInt16(length))
        Wire.write16(header + 10, 0)
        Wire.write16(header + 10, ~Wire.fold(Wire.sum(header, 20)))
    }

    private static func icmp(_ frame: NetCard.Frame, _ payload: VirtualAddress, _ length: UInt32) {
        guard Memory.read8(payload) == 8 else { return }
        guard let (slot, reply) = turnAround(frame, length + Offset.ip) else { return }
        let answer = reply + (Offset.ip + 20)
        Memory.write8(answer, 0)
        Wire.write16(answer + 2, 0)
        Wire.write16(answer + 2, ~Wire.fold(Wire.sum(answer, length - 20)))
        card?.send(slot, count: length + Offset.ip)
        card?.kick()
        pings += 1
    }

    private static func udp(_ frame: NetCard.Frame, _ payload: VirtualAddress, _ length: UInt32) {
        let port = Wire.read16(payload + 2)
        if port == 9, length >= 32, Wire.read32(payload + 8) == 0x7175_6974 { isEnding = true }
        if port == DHCP.clientPort || port == NameQuery.port { Datagram.keep(payload + 8, length - 28, port) }
        guard port == 7, let (slot, reply) = turnAround(frame, length + Offset.ip) else { return }
        // Exchanging sender and receiver does not change the sum, but it may not have been done yet.
        Wire.write16(reply + 34, port)
        Wire.write16(reply + 36, Wire.read16(payload))
        finishUDP(reply + 34, length - 20, from: address, to: Wire.read32(reply + 30))
        card?.send(slot, count: length + Offset.ip)
        card?.kick()
    }

    private static func finishUDP(_ header: VirtualAddress, _ length: UInt32, from: UInt32, to: UInt32) {
        Wire.write16(header + 4, UInt16(length))
        Wire.write16(header + 6, 0)
        let pseudo = Wire.pseudoSum(from, to, protocol: 17, length: length)
        let sum = ~Wire.fold(Wire.sum(header, length, from: pseudo))
        Wire.write16(header + 6, sum == 0 ? 0xFFFF : sum)
    }

    /// Sends a datagram whose `count` bytes of payload `write` puts into place.
    static func sendDatagram(
        to mac: MAC, _ target: UInt32, port: UInt16, from source: UInt16, count: UInt32,
        write: (VirtualAddress) -> Void
    ) {
        guard let ours = card?.mac, let slot = card?.takeSlot(), let frame = card?.frame(slot) else { return }
        Memory.clear(frame, count: 42 + count)
        Wire.writeMAC(frame, mac)
        Wire.writeMAC(frame + 6, ours)
        Wire.write16(frame + 12, 0x0800)
        startIP(frame + 14, protocol: 17, from: address, to: target)
        Wire.write16(frame + 34, source)
        Wire.write16(frame + 36, port)
        write(frame + 42)
        finishUDP(frame + 34, count + 8, from: address, to: target)
        finishIP(frame + 14, length: 28 + count)
        card?.send(slot, count: 42 + count)
        card?.kick()
    }

    static func startIP(_ header: VirtualAddress, protocol number: UInt8, from: UInt32, to: UInt32) {
        Wire.write16(header, 0x4500)
        Wire.write32(header + 4, 0x0000_4000)
        Memory.write8(header + 8, 64)
        Memory.write8(header + 9, number)
        Wire.write32(header + 12, from)
        Wire.write32(header + 16, to)
    }

    /// Sleeps until something comes or `microseconds` are over, then deals with it.
    static func wait(microseconds: UInt64) {
        DeviceInterrupts.wait(microseconds: microseconds) { card?.hasReceived ?? true }
        card?.link.acknowledge()
        poll()
    }

    static func text(of address: UInt32) -> Text {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }
}

/// The latest datagram for one of our own questions.
enum Datagram {
    nonisolated(unsafe) static var length: UInt32 = 0
    nonisolated(unsafe) static var port: UInt16 = 0
    nonisolated(unsafe) private(set) static var place = VirtualAddress(value: 0)

    static func start() {
        if place.value == 0 { place = PageFrames.allocate().inKernel }
        length = 0
    }

    static func keep(_ from: VirtualAddress, _ count: UInt32, _ port: UInt16) {
        guard place.value != 0, count <= PageFrames.bytes else { return }
        Memory.copy(from: from, to: place, count: count)
        length = count
        Datagram.port = port
    }

    /// Waits for one; false when none comes in time.
    static func arrived(within microseconds: UInt64) -> Bool {
        let end = Timer.now &+ Timer.ticks(microseconds: microseconds)
        while length == 0, Timer.now < end { NetStack.wait(microseconds: 50_000) }
        return length != 0
    }
}

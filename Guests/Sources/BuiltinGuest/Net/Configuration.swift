// SPDX-License-Identifier: Apache-2.0
//
// Two questions that a host asks when it comes to a network: who am I (DHCP, RFC 2131), and what is the address
// behind a name (DNS, RFC 1035).
import Machine

enum DHCP {
    static let clientPort: UInt16 = 68
    private static let transaction: UInt32 = 0x6C67_7565
    private static let optionsOffset: UInt32 = 240

    struct Lease {
        var address: UInt32
        var router: UInt32 = 0
        var nameServer: UInt32 = 0
    }

    /// Asks, takes what is offered, and has it confirmed; nil when nobody answers.
    static func ask() -> Lease? {
        for _ in 0..<5 {
            guard let offer = exchange(message: 1, address: 0, server: 0, expect: 2) else { continue }
            let server = option(54) ?? 0
            guard exchange(message: 3, address: offer.address, server: server, expect: 5) != nil else {
                continue
            }
            return offer
        }
        return nil
    }

    private static func exchange(message: UInt8, address: UInt32, server: UInt32, expect: UInt8) -> Lease? {
        Datagram.start()
        guard let mac = NetStack.card?.mac else { return nil }
        NetStack.sendDatagram(
            to: .broadcast, 0xFFFF_FFFF, port: 67, from: clientPort, count: optionsOffset + 32
        ) { packet in
            Wire.write32(packet, 0x0101_0600)
            Wire.write32(packet + 4, transaction)
            // Answers come to everybody: we have no address yet.
            Wire.write16(packet + 10, 0x8000)
            Wire.writeMAC(packet + 28, mac)
            Wire.write32(packet + 236, 0x6382_5363)
            var at = packet + optionsOffset
            at = write(at, 53, UInt32(message) << 24, 1)
            if address != 0 { at = write(at, 50, address, 4) }
            if server != 0 { at = write(at, 54, server, 4) }
            Memory.write8(at, 0xFF)
        }
        guard Datagram.arrived(within: 2_000_000), Datagram.port == clientPort,
            Datagram.length > optionsOffset, Wire.read32(Datagram.place + 4) == transaction,
            option(53).map({ UInt8($0 >> 24) }) == expect
        else { return nil }
        return Lease(
            address: Wire.read32(Datagram.place + 16), router: option(3) ?? 0, nameServer: option(6) ?? 0)
    }

    private static func write(_ at: VirtualAddress, _ code: UInt8, _ value: UInt32, _ count: UInt32)
        -> VirtualAddress
    {
        Memory.write8(at, code)
        Memory.write8(at + 1, UInt8(count))
        for index in 0..<count {
            Memory.write8(at + (2 + index), UInt8(truncatingIfNeeded: value >> (24 - 8 * index)))
        }
        return at + (2 + count)
    }

    /// The first four bytes of an option of the latest answer.
    private static func option(_ code: UInt8) -> UInt32? {
        var at = optionsOffset
        while at + 1 < Datagram.length {
            let found = Memory.read8(Datagram.place + at)
            if found == 0xFF { return nil }
            if found == code { return Wire.read32(Datagram.place + (at + 2)) }
            at += found == 0 ? 1 : 2 + UInt32(Memory.read8(Datagram.place + (at + 1)))
        }
        return nil
    }
}

/// One question to a name server.
enum NameQuery {
    static let port: UInt16 = 5353

    /// The first IPv4 address of `name`; nil when the server has none, or does not answer.
    static func ask(_ name: Text, server: UInt32, mac: MAC) -> UInt32? {
        Datagram.start()
        NetStack.sendDatagram(to: mac, server, port: 53, from: port, count: UInt32(name.count) + 18) {
            packet in
            Wire.write32(packet, 0x1234_0100)
            Wire.write32(packet + 4, 0x0001_0000)
            Wire.write32(packet + 8, 0)
            // Each label after its length.
            var at = packet + 12
            var start = 0
            while start <= name.count {
                let end = name.firstIndex(of: 0x2E, from: start) ?? name.count
                Memory.write8(at, UInt8(truncatingIfNeeded: end - start))
                for position in start..<end {
                    Memory.write8(at + UInt32(position - start + 1), name[position])
                }
                at = at + UInt32(end - start + 1)
                start = end + 1
            }
            Memory.write8(at, 0)
            Wire.write32(at + 1, 0x0001_0001)
        }
        guard Datagram.arrived(within: 5_000_000), Datagram.port == port, Datagram.length > 16 else {
            return nil
        }
        // The question again, then answers: name, type, class, time, length, data.
        var at = 12 + UInt32(name.count) + 2 + 4
        for _ in 0..<Wire.read16(Datagram.place + 6) {
            guard at + 16 <= Datagram.length else { return nil }
            // Names are references of two bytes here.
            let length = UInt32(Wire.read16(Datagram.place + (at + 10)))
            if Wire.read16(Datagram.place + (at + 2)) == 1 { return Wire.read32(Datagram.place + (at + 12)) }
            at += 12 + length
        }
        return nil
    }
}

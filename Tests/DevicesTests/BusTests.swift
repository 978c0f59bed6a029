// SPDX-License-Identifier: Apache-2.0
//
// Port and MMIO buses: who answers, and what nobody's addresses read as.

import Testing

@testable import Devices

private final class Registers: PortHandler, MMIOHandler {
    let tag: UInt64
    var writes: [String] = []

    init(tag: UInt64) { self.tag = tag }

    func portRead(offset: UInt16, width: Int) -> UInt32 { UInt32(tag) + UInt32(offset) }
    func portWrite(offset: UInt16, width: Int, value: UInt32) { writes.append("\(offset)/\(width)=\(value)") }
    func mmioRead(offset: UInt64, width: Int) -> UInt64 { tag + offset }
    func mmioWrite(offset: UInt64, width: Int, value: UInt64) { writes.append("\(offset)/\(width)=\(value)") }
}

@Suite("Port bus")
struct PortBusTests {
    @Test("unclaimed ports read as ones; 0x64 reads 1 (lguest ABI 7.1)")
    func unclaimed() {
        let bus = PortBus()
        #expect(bus.read(port: 0x42, width: 1) == 0xFF)
        #expect(bus.read(port: 0x1F0, width: 2) == 0xFFFF)
        #expect(bus.read(port: 0xFFFF, width: 4) == 0xFFFF_FFFF)
        #expect(bus.read(port: 0x64, width: 1) == 1)
        #expect(bus.read(port: 0x64, width: 4) == 0xFFFF_FF01)
        #expect(bus.read(port: 0x63, width: 2) == 0x01FF)
        bus.write(port: 0xFFFF, width: 4, value: 1)
    }

    @Test("the keyboard controller's reset line, and nothing else of it")
    func resetLine() {
        let bus = PortBus()
        bus.write(port: 0x64, width: 1, value: 0xFE)
        var resets = 0
        bus.onReset = { resets += 1 }
        for command in [0x20, 0x60, 0xAA, 0xD1, 0xF0, 0xFF] as [UInt32] {
            bus.write(port: 0x64, width: 1, value: command)
        }
        #expect(resets == 0)
        bus.write(port: 0x64, width: 1, value: 0xFE)
        #expect(resets == 1)
    }

    @Test("a claimed range gets offsets; accesses over its edge are split into bytes")
    func claimed() {
        let bus = PortBus()
        let device = Registers(tag: 0x10)
        bus.claim(ports: 0x300...0x303, handler: device)
        #expect(bus.read(port: 0x302, width: 1) == 0x12)
        bus.write(port: 0x300, width: 2, value: 0xABCD_1234)
        #expect(bus.read(port: 0x303, width: 2) == 0xFF13)
        bus.write(port: 0x2FF, width: 2, value: 0x5566)
        #expect(device.writes == ["0/2=4660", "0/1=85"])
    }

    @Test("the first to claim a port keeps it, and the last port of all works")
    func edges() {
        let bus = PortBus()
        bus.claim(ports: 0xFFFE...0xFFFF, handler: Registers(tag: 1))
        bus.claim(ports: 0xFFFF...0xFFFF, handler: Registers(tag: 0x50))
        #expect(bus.read(port: 0xFFFF, width: 1) == 2)
        #expect(bus.read(port: 0xFFFF, width: 4) == 0xFFFF_FF02)
    }
}

@Suite("MMIO bus")
struct MMIOBusTests {
    @Test("finds each of many regions, and nothing between them")
    func lookup() {
        let bus = MMIOBus()
        let regions = (0..<31).map { UInt64($0) * 0x200 + 0x10_0000 }
        for base in regions.shuffled() { _ = bus.attach(Registers(tag: base), base: base, length: 0x80) }
        for base in regions {
            #expect(bus.read(address: base + 4, width: 4) == base + 4)
            #expect(bus.read(address: base + 0x80, width: 2) == 0xFFFF)
            #expect(bus.read(address: base - 1, width: 1) == 0xFF)
            #expect(bus.read(address: base + 0x7E, width: 4) == 0xFFFF_FFFF, "over the edge")
        }
        #expect(bus.end == 0x10_0000 + 30 * 0x200 + 0x80)
        #expect(bus.read(address: .max, width: 8) == .max)
        #expect(!bus.claims(0))
    }

    @Test("a region hidden by another comes back when its place is free")
    func moves() {
        let bus = MMIOBus()
        let first = bus.attach(Registers(tag: 0x1000), base: 0x1000, length: 0x80)
        let second = bus.attach(Registers(tag: 0x2000), base: 0x2000, length: 0x80)
        bus.move(second, to: 0x1040)
        #expect(bus.read(address: 0x1040, width: 4) == 0x1040)
        #expect(bus.read(address: 0x2000, width: 4) == 0xFFFF_FFFF)
        #expect(bus.read(address: 0x1090, width: 4) == 0xFFFF_FFFF)
        bus.move(first, to: 0x3000)
        #expect(bus.read(address: 0x1040, width: 4) == 0x2000)
        bus.move(first, to: .max - 3)
        #expect(bus.read(address: .max, width: 1) == 0xFF, "wraps around: not in effect")
    }
}

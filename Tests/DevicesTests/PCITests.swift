// SPDX-License-Identifier: Apache-2.0
//
// Configuration mechanism #1 and the configuration space of a virtio device (lguest ABI 9.1, 9.2).

import Support
import Testing

@testable import Devices

@Suite("PCI configuration")
struct PCITests {
    @Test("the kernel's probe of mechanism #1 finds a host bridge")
    func probe() throws {
        let rig = try Rig()
        rig.ports.write(port: 0xCFB, width: 1, value: 1)
        #expect(rig.ports.read(port: 0xCF8, width: 4) == 0x0100_0000)
        rig.ports.write(port: 0xCF8, width: 4, value: 0x8000_0000)
        #expect(rig.ports.read(port: 0xCF8, width: 4) == 0x8000_0000)
        let bridge = FakeDriver(rig, slot: 0)
        #expect(bridge.configRead(0x0A, 2) == 0x0600)
        #expect(bridge.configRead(0) == 0, "no vendor")
        bridge.configWrite(0x10, 0xFFFF_FFFF)
        for offset in stride(from: UInt32(0), to: 0x98, by: 4) where offset != 8 {
            #expect(bridge.configRead(offset) == 0)
        }
    }

    @Test("what is not there reads as ones and ignores writes")
    func absent() throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        #expect(driver.configRead(0x98) == 0xFFFF_FFFF)
        #expect(driver.configRead(0xFC, 2) == 0xFFFF)
        #expect(FakeDriver(rig, slot: 2).configRead(0) == 0xFFFF_FFFF)
        for address: UInt32 in [0x0000_0800, 0x8001_0800, 0x8000_0900] {
            rig.ports.write(port: 0xCF8, width: 4, value: address)
            #expect(rig.ports.read(port: 0xCFC, width: 4) == 0xFFFF_FFFF)
            rig.ports.write(port: 0xCFC, width: 4, value: 0)
        }
        driver.configWrite(0x00, 0)
        driver.configWrite(0x04, 7)
        driver.configWrite(0x3C, 0, 1)
        #expect(driver.configRead(0x00) == 0x1043_1AF4)
    }

    @Test("the console's registers are those of lguest ABI 9.2")
    func registers() throws {
        let driver = FakeDriver(try Rig())
        let expected: [(UInt32, Int, UInt32)] = [
            (0x00, 2, 0x1AF4), (0x02, 2, 0x1043), (0x04, 2, 0), (0x06, 2, 0x10), (0x08, 1, 1), (0x0A, 1, 0),
            (0x0B, 1, 7), (0x0E, 1, 0), (0x10, 4, 0x20_0000), (0x14, 4, 0), (0x2C, 2, 0), (0x2E, 2, 0x40),
            (0x30, 4, 0), (0x34, 1, 0x40), (0x3C, 1, 1), (0x3D, 1, 0),
            (0x40, 4, 0x0110_5009), (0x44, 4, 0), (0x48, 4, 0), (0x4C, 4, 0x38),
            (0x50, 4, 0x0214_6409), (0x58, 4, 0x38), (0x5C, 4, 2), (0x60, 4, 0),
            (0x64, 4, 0x0310_8409), (0x6C, 4, 0x3A), (0x70, 4, 1),
            (0x84, 4, 0x0514_7409), (0x74, 4, 0x0410_0009), (0x7C, 4, 0x3C), (0x80, 4, 12),
        ]
        for (offset, width, value) in expected {
            #expect(driver.configRead(offset, width) == value, "offset \(String(offset, radix: 16))")
        }
        driver.configWrite(0x0C, 0x1234, 2)
        #expect(driver.configRead(0x0C) == 0x1234)
    }

    @Test("a device without configuration leaves that capability out")
    func noConfiguration() throws {
        let rig = try Rig()
        try rig.bus.add(ProbeDevice())
        let driver = FakeDriver(rig, slot: 2)
        #expect(driver.configRead(0x84) == 0x0514_0009)
        #expect(driver.configRead(0x08) == 0xFF00_0001)
        #expect(driver.configRead(0x3C, 1) == 2)
        #expect(driver.configRead(0x10) == 0x20_0080)
    }

    @Test("BAR0 tells its size and moves")
    func relocation() throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        let home = driver.bar
        driver.configWrite(0x10, 0xFFFF_FFFF)
        #expect(driver.configRead(0x10) == 0xFFFF_FF80)
        #expect(rig.mmio.read(address: home + 0x12, width: 2) == 0xFFFF)
        driver.configWrite(0x10, 0x8000_0000)
        #expect(driver.read(0x12, 2) == 2)
        driver.configWrite(0x12, UInt32(home >> 16), 2)
        #expect(driver.bar == home)
        #expect(driver.read(0x12, 2) == 2)
    }

    @Test("31 devices have slots and aligned BARs of their own; the next is refused")
    func full() throws {
        let rig = try Rig()
        for _ in 2...31 { try rig.bus.add(ProbeDevice()) }
        #expect(throws: LguestError.self) { try rig.bus.add(ProbeDevice()) }
        let bars = (1...31).map { FakeDriver(rig, slot: $0).bar }
        #expect(Set(bars).count == 31)
        #expect(bars.dropFirst().allSatisfy { $0 % 64 == 0 && rig.mmio.claims($0) })
    }

    @Test("address register: bytes and words, also halfway into the data register")
    func widths() throws {
        let rig = try Rig()
        rig.ports.write(port: 0xCF8, width: 2, value: 0x0800)
        rig.ports.write(port: 0xCFA, width: 2, value: 0x8000)
        #expect(rig.ports.read(port: 0xCF9, width: 1) == 8)
        #expect(rig.ports.read(port: 0xCFE, width: 2) == 0x1043)
        #expect(rig.ports.read(port: 0xCFA, width: 4) == 0x1AF4_8000)
        #expect(rig.ports.read(port: 0xCFE, width: 4) == 0xFFFF_1043)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The register file in BAR0 and the rules of the status register (lguest ABI 9.3, 9.5).

import Testing

@testable import Devices

@Suite("Virtio over PCI")
struct TransportTests {
    @Test("features: two halves, nothing above; a subset with bit 32 is agreed upon")
    func features() throws {
        let driver = FakeDriver(try Rig())
        #expect(driver.offered == 1 << 32 | 4)
        driver.write(0x00, 2, 4)
        #expect(driver.read(0x04, 4) == 0)
        #expect(driver.negotiate(1 << 32 | 4))
        #expect(driver.negotiate(1 << 32))
        #expect(!driver.negotiate(4), "without VERSION_1")
        #expect(driver.status == 3)
        #expect(!driver.negotiate(1 << 32 | 2), "never offered")
        #expect(!driver.negotiate(.max))
    }

    @Test("features are fixed once agreed upon")
    func frozen() throws {
        let driver = FakeDriver(try Rig())
        #expect(driver.negotiate(1 << 32))
        driver.write(0x08, 0, 4)
        driver.write(0x0C, 4, 4)
        #expect(driver.read(0x0C, 4) == 0)
        driver.write(0x08, 7, 4)
        driver.write(0x0C, 4, 4)
        #expect(driver.read(0x0C, 4) == 0)
    }

    @Test("reset puts everything back")
    func reset() throws {
        let rig = try Rig()
        let console = FakeConsole(rig)
        #expect(console.driver.status == 0xF)
        console.driver.write(0x14, 0, 1)
        #expect(console.driver.status == 0)
        for queue: UInt64 in [0, 1] {
            console.driver.write(0x16, queue, 2)
            #expect(console.driver.read(0x18, 2) == 256)
            #expect(console.driver.read(0x1C, 2) == 0)
            #expect(console.driver.read(0x20, 8) == 0)
        }
        console.driver.write(0x16, 2, 2)
        #expect(console.driver.read(0x18, 2) == 0, "no such queue")
        console.driver.write(0x18, 8, 2)
        console.driver.write(0x1C, 1, 2)
        #expect(console.driver.read(0x18, 2) == 0)
    }

    @Test("status bits are only added; FAILED is only noted")
    func status() throws {
        let console = FakeConsole(try Rig())
        console.driver.write(0x14, 1, 1)
        #expect(console.driver.status == 0xF)
        console.driver.write(0x14, 0x8F, 1)
        #expect(console.driver.status == 0x8F)
        console.driver.write(0x14, 0x40, 1)
        #expect(console.driver.status == 0x8F, "only the device asks for a reset")
    }

    @Test("DRIVER_OK without FEATURES_OK needs a reset")
    func driverTooEarly() throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        driver.write(0x14, 7, 1)
        #expect(driver.status == 0x47)
        #expect(rig.failures == [.featuresNotNegotiated])
        #expect(driver.read(0x3A, 1) == 2)
        #expect(FakeConsole(rig).driver.status == 0xF, "a reset helps")
    }

    @Test("queue registers: fixed while enabled; enable is write 1 only; msix reads as none")
    func queueRegisters() throws {
        let driver = FakeDriver(try Rig())
        driver.write(0x16, 1, 2)
        driver.write(0x1C, 2, 2)
        #expect(driver.read(0x1C, 2) == 0)
        driver.write(0x20, 0x1122_3344_5566_7788, 8)
        #expect(driver.read(0x20, 4) == 0x5566_7788)
        #expect(driver.read(0x24, 4) == 0x1122_3344)
        driver.write(0x1C, 1, 2)
        driver.write(0x1C, 0, 2)
        driver.write(0x18, 4, 2)
        #expect(driver.read(0x1C, 2) == 1)
        #expect(driver.read(0x18, 2) == 256)
        #expect(driver.read(0x10, 2) == 0xFFFF)
        #expect(driver.read(0x1A, 2) == 0xFFFF)
        #expect(driver.read(0x12, 2) == 2)
        #expect(driver.read(0x1E, 2) == 0)
    }

    @Test("odd widths act on the bytes they name")
    func oddWidths() throws {
        let driver = FakeDriver(try Rig())
        driver.write(0x14, 0x0001_0001, 4)
        #expect(driver.read(0x14, 4) == 0x0001_0001, "status 1, queue 1")
        driver.write(0x19, 0, 1)
        driver.write(0x18, 64, 1)
        #expect(driver.read(0x18, 2) == 64)
        #expect(driver.read(0x3B, 1) == 0)
        #expect(driver.read(0x3C, 8) == 0)
        #expect(driver.read(0x48, 8) == 0xFFFF_FFFF_FFFF_FFFF, "behind the configuration")
        driver.write(0x38, 0xFFFF_FFFF_FFFF_FFFF, 8)
    }

    @Test("the ISR is cleared by reading, which lowers the line")
    func isr() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        try console.print("x")
        #expect(rig.interrupts.isUp == [1])
        #expect(console.driver.read(0x3A, 1) == 1)
        #expect(rig.interrupts.isUp.isEmpty)
        #expect(console.driver.read(0x3A, 1) == 0)
        try console.print("y", index: 1)
        #expect(console.driver.read(0x38, 4) == 0x0001_0000, "as part of a wider read")
    }

    @Test("kicks of queues that are not there, or too early, do nothing")
    func strayKicks() throws {
        let rig = try Rig()
        let device = ProbeDevice()
        try rig.bus.add(device)
        let driver = FakeDriver(rig, slot: 2)
        driver.kick(0)
        #expect(driver.negotiate(1 << 32))
        driver.kick(0)
        driver.driverOK()
        for queue: UInt64 in [0, 1, 0xFFFF] { driver.kick(queue) }
        #expect(device.notified.isEmpty, "queue 0 was never enabled")
        #expect(device.activations == 1)
        #expect(driver.negotiate(1 << 32))
        driver.setUp(queue: 0, VirtqueueLayout(size: 8, descriptors: 0x1000, available: 0x2000, used: 0x3000))
        driver.driverOK()
        driver.kick(0)
        #expect(device.notified == [0, 0], "once by itself, once by the kick")
    }

    @Test(
        "rings in bad places need a reset",
        arguments: [
            VirtqueueLayout(size: 8, descriptors: 0x1008, available: 0x2000, used: 0x3000),
            VirtqueueLayout(size: 8, descriptors: 0x1000, available: 0x2001, used: 0x3000),
            VirtqueueLayout(size: 8, descriptors: 0x1000, available: 0x2000, used: 0x3002),
            VirtqueueLayout(size: 8, descriptors: Rig.ramBytes - 16, available: 0x2000, used: 0x3000),
            VirtqueueLayout(size: 8, descriptors: 0x1000, available: Rig.ramBytes, used: 0x3000),
            VirtqueueLayout(size: 8, descriptors: 0x1000, available: 0x2000, used: ~0xF),
            VirtqueueLayout(size: 8, descriptors: 1 << 32, available: 0x2000, used: 0x3000),
            VirtqueueLayout(size: 0, descriptors: 0x1000, available: 0x2000, used: 0x3000),
            VirtqueueLayout(size: 7, descriptors: 0x1000, available: 0x2000, used: 0x3000),
            VirtqueueLayout(size: 512, descriptors: 0x1000, available: 0x8000, used: 0x9000),
        ])
    func badRings(layout: VirtqueueLayout) throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        #expect(driver.negotiate(1 << 32))
        driver.setUp(queue: 0, layout)
        driver.driverOK()
        #expect(driver.status == 0x4F)
        #expect(rig.failures.count == 1)
        driver.kick(0)
        #expect(FakeConsole(rig).driver.status == 0xF)
    }
}

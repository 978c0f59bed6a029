// SPDX-License-Identifier: Apache-2.0
//
// The console over PCI: both directions, the early path, the window (lguest ABI 9.4, 10.3).

import Support
import Testing

@testable import Devices

@Suite("Virtio console")
struct ConsoleTests {
    @Test("a driver starts it, prints and reads")
    func bothWays() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        #expect(console.driver.status == 0xF)
        try console.print("hello\n")
        #expect(rig.backend.text == "hello\n")
        let used = try #require(try console.transmit.takeUsed())
        #expect(used.id == 0 && used.length == 0)
        #expect(console.driver.read(0x3A, 1) == 1)

        try console.offerBuffer(3)
        #expect(rig.interrupts.isUp.isEmpty, "nothing typed yet")
        rig.backend.type("ls\n")
        #expect(rig.interrupts.isUp == [1])
        #expect(try console.received() == "ls\n")
    }

    @Test("the early console prints through the cfg-access window before any driver")
    func early() throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        for character in "Linux\n".utf8 { driver.emergencyWrite(character) }
        #expect(rig.backend.text == "Linux\n")
        #expect(driver.status == 0)
        driver.write(0x44, 0x1234_5641, 4)
        driver.write(0x14, 0x80, 1)
        driver.emergencyWrite(0x42)
        #expect(rig.backend.text == "Linux\nAB")
        driver.write(0x45, 0x43, 1)
        #expect(rig.backend.text == "Linux\nAB", "not the low byte")
    }

    @Test("the cfg-access window reads and writes registers; bad windows do nothing")
    func window() throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        func aim(_ bar: UInt32, _ offset: UInt32, _ length: UInt32) {
            driver.configWrite(0x88, bar, 1)
            driver.configWrite(0x8C, offset)
            driver.configWrite(0x90, length)
        }
        aim(0, 0x12, 2)
        #expect(driver.configRead(0x94) == 2)
        aim(0, 0x14, 1)
        driver.configWrite(0x94, 1, 1)
        #expect(driver.status == 1)
        #expect(driver.configRead(0x94, 1) == 1)
        for (bar, offset, length): (UInt32, UInt32, UInt32) in [
            (1, 0, 4), (0, 2, 4), (0, 0, 3), (0, 0, 8), (0, 0x80, 4), (0, 0xFFFF_FFFC, 4), (0, 0, 0),
        ] {
            aim(bar, offset, length)
            #expect(driver.configRead(0x94) == 0xFFFF_FFFF)
            driver.configWrite(0x94, 0)
        }
        #expect(driver.status == 1)
    }

    @Test("output of several descriptors, buffers and kicks keeps its order")
    func order() throws {
        let rig = try Rig()
        var console = FakeConsole(rig, size: 8)
        for round in 0..<100 {
            let text = "line \(round) "
            try rig.memory.writeBytes([UInt8](text.utf8), at: 0x80000)
            try console.transmit.describe(0, 0x80000, 5, flags: 1, next: 1)
            try console.transmit.describe(1, 0x80005, 0, flags: 1, next: 2)
            try console.transmit.describe(2, 0x80005, UInt32(text.utf8.count - 5))
            try console.transmit.offer(0)
            console.driver.kick(1)
            #expect(try console.transmit.takeUsed()?.length == 0)
        }
        #expect(rig.backend.text == (0..<100).map { "line \($0) " }.joined())
    }

    @Test("input waits for buffers, in order, and fills small ones one after the other")
    func inputWaits() throws {
        let rig = try Rig()
        rig.backend.type("before the driver, ")
        var console = FakeConsole(rig)
        rig.backend.type("before the buffers")
        #expect(rig.interrupts.isUp.isEmpty)
        for index in 0..<20 as Range<UInt16> { try console.offerBuffer(index, length: 2, kick: false) }
        console.driver.kick(0)
        var text = ""
        while let part = try console.received() { text += part }
        #expect(text == "before the driver, before the buffers")
    }

    @Test("buffers offered before DRIVER_OK are used")
    func offeredEarly() throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        var queue = FakeQueue(memory: rig.memory, size: 256, at: 0x10000)
        #expect(driver.negotiate(1 << 32))
        driver.setUp(queue: 0, queue.layout)
        try queue.describe(0, 0x40000, 64, flags: 2)
        try queue.offer(0)
        rig.backend.type("x")
        driver.driverOK()
        #expect(try queue.takeUsed()?.length == 1)
    }

    @Test("a guest that does not read makes the backend wait, and loses nothing")
    func backPressure() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        for _ in 0..<30 { rig.backend.type([UInt8](repeating: 0x61, count: 4096)) }
        #expect(rig.backend.isPaused)
        #expect(rig.console.pendingInput.count == VirtioConsole.inputLimit)
        var total = 0
        for index in 0..<40 as Range<UInt16> {
            try console.offerBuffer(index)
            total += try console.received()?.utf8.count ?? 0
        }
        #expect(total == 30 * 4096)
        #expect(!rig.backend.isPaused)
    }

    @Test("the window's size is in the configuration and its changes interrupt")
    func windowSize() throws {
        let rig = try Rig(windowSize: ConsoleWindowSize(columns: 80, rows: 25))
        #expect(FakeDriver(rig).offered == 1 << 32 | 5)
        let console = FakeConsole(rig, features: 1 << 32 | 1)
        #expect(console.driver.read(0x3A, 1) == 2, "told once at the start: Linux needs it")
        #expect(console.driver.read(0x3C, 4) == 25 << 16 | 80)
        let generation = console.driver.read(0x15, 1)
        rig.backend.windowSize = ConsoleWindowSize(columns: 132, rows: 50)
        #expect(console.driver.read(0x3A, 1) == 2)
        #expect(console.driver.read(0x3C, 2) == 132)
        #expect(console.driver.read(0x15, 1) != generation)
        let other = FakeConsole(rig, features: 1 << 32)
        rig.backend.windowSize = ConsoleWindowSize(columns: 1, rows: 1)
        #expect(other.driver.read(0x3A, 1) == 0, "not agreed upon")
    }

    @Test("a driver that has just said that it is ready hears of no change for some turns")
    func settling() throws {
        let clock = ManualClock()
        let loop = try EventLoop(clock: clock)
        let rig = try Rig(windowSize: ConsoleWindowSize(columns: 80, rows: 25), eventLoop: loop)
        let console = FakeConsole(rig, features: 1 << 32 | 1)
        rig.backend.windowSize = ConsoleWindowSize(columns: 132, rows: 50)
        // However long a turn was late.
        for _ in 0..<4 {
            clock.advance(nanoseconds: 1_000_000_000)
            loop.poll()
            #expect(console.driver.read(0x3A, 1) == 0, "Linux has no port yet")
        }
        clock.advance(nanoseconds: 1_000_000_000)
        loop.poll()
        #expect(console.driver.read(0x3A, 1) == 2)
        #expect(console.driver.read(0x3C, 2) == 132)
        rig.backend.windowSize = ConsoleWindowSize(columns: 133, rows: 50)
        #expect(console.driver.read(0x3A, 1) == 2)

        // Another driver starts over; one that is gone is told nothing.
        let next = FakeConsole(rig, features: 1 << 32 | 1)
        #expect(next.driver.read(0x3A, 1) == 0)
        next.driver.write(0x14, 0, 1)
        for _ in 0..<10 {
            clock.advance(nanoseconds: 1_000_000_000)
            loop.poll()
        }
        #expect(next.driver.read(0x3A, 1) == 0)
    }

    @Test("a driver that suppresses interrupts gets none")
    func suppressed() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        try rig.memory.write(UInt16(1), at: console.transmit.available)
        try console.print("quiet")
        #expect(rig.interrupts.isUp.isEmpty)
        #expect(console.driver.read(0x3A, 1) == 0)
        #expect(rig.backend.text == "quiet")
    }

    @Test("after a reset a new driver starts from nothing")
    func restart() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        try console.print("one ")
        try rig.memory.zero(0x10000, count: 0x20000)
        var second = FakeConsole(rig)
        try second.print("two")
        #expect(rig.backend.text == "one two")
        #expect(rig.failures.isEmpty)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The interrupt controllers of the PC, through their ports and registers as a kernel uses them.

import Support
import Testing

@testable import Devices

@Suite("8259 interrupt controllers")
struct InterruptControllerTests {
    let ports = PortBus(hasStuckKeyboard: false)
    let controller = InterruptController()

    init() {
        controller.claimPorts(on: ports)
        // As Linux sets them up: vectors 0x30 and 0x38, the second one on input 2, 8086 mode, nothing masked.
        for (port, value) in [
            (0x20, 0x11), (0x21, 0x30), (0x21, 0x04), (0x21, 0x01), (0xA0, 0x11), (0xA1, 0x38), (0xA1, 0x02),
            (0xA1, 0x01), (0x21, 0x00), (0xA1, 0x00),
        ] { write(port, value) }
    }

    func write(_ port: Int, _ value: Int) { ports.write(port: UInt16(port), width: 1, value: UInt32(value)) }
    func read(_ port: Int) -> UInt32 { ports.read(port: UInt16(port), width: 1) }

    @Test func priorityAndEndOfInterrupt() {
        controller.setLine(4, true)
        controller.setLine(1, true)
        #expect(controller.acknowledge() == 0x31, "input 1 is more urgent than 4")
        #expect(!controller.wantsInterrupt, "what is less urgent waits for the end of interrupt")
        controller.setLine(0, true)
        #expect(controller.acknowledge() == 0x30, "input 0 interrupts the service of 1")
        write(0x20, 0x20)
        write(0x20, 0x20)
        #expect(controller.acknowledge() == 0x34)
        write(0x20, 0x64)
        #expect(!controller.wantsInterrupt, "an edge counts once, though the line is still high")
    }

    @Test func secondController() {
        controller.setLine(14, true)
        #expect(controller.acknowledge() == 0x3E)
        write(0xA0, 0x0B)
        #expect(read(0xA0) == 1 << 6, "the service register of the second one")
        write(0xA0, 0x66)
        write(0x20, 0x62)
        #expect(!controller.wantsInterrupt)
    }

    @Test func masksAndRequests() {
        write(0x21, 0xFF)
        controller.setLine(3, true)
        #expect(!controller.wantsInterrupt)
        write(0x20, 0x0A)
        #expect(read(0x20) == 1 << 3)
        write(0x21, 0xF7)
        #expect(controller.wantsInterrupt)
        controller.setLine(3, false)
        #expect(!controller.wantsInterrupt)
        #expect(controller.acknowledge() == 0x37, "a request that has gone away is the spurious interrupt")
    }

    @Test func levels() {
        write(0x4D1, 0x0C)  // 10 and 11
        controller.setLine(11, true)
        #expect(controller.acknowledge() == 0x3B)
        write(0xA0, 0x20)
        write(0x20, 0x20)
        #expect(controller.wantsInterrupt, "the line is still high")
        controller.setLine(11, false)
        #expect(!controller.wantsInterrupt)
        #expect(read(0x4D1) == 0x0C)
        write(0x4D0, 0xFF)
        #expect(read(0x4D0) == 0xF8, "the timer's input cannot be a level")
    }

    @Test func initialisationForgetsEdges() {
        controller.setLine(5, true)
        write(0x20, 0x11)
        write(0x21, 0x40)
        write(0x21, 0x04)
        write(0x21, 0x03)  // ends by itself
        #expect(!controller.wantsInterrupt)
        controller.setLine(5, false)
        controller.setLine(5, true)
        #expect(controller.acknowledge() == 0x45)
        controller.setLine(6, true)
        #expect(controller.acknowledge() == 0x46, "no end of interrupt is needed")
    }
}

@Suite("APICs")
struct APICTests {
    let clock = ManualClock(monotonicNanoseconds: 5_000_000)
    let local: LocalAPIC
    let io: IOAPIC

    init() {
        local = LocalAPIC(clock: clock, start: 5_000_000)
        io = IOAPIC(local: local)
        local.mmioWrite(offset: 0xF0, width: 4, value: 0x1FF)
    }

    func writeIO(_ register: UInt64, _ value: UInt64) {
        io.mmioWrite(offset: 0, width: 4, value: register)
        io.mmioWrite(offset: 0x10, width: 4, value: value)
    }

    @Test func edges() {
        writeIO(0x10 + 2 * 4, 0x51)
        io.setLine(4, true)
        #expect(local.wantsInterrupt)
        #expect(local.acknowledge() == 0x51)
        #expect(!local.wantsInterrupt)
        local.mmioWrite(offset: 0xB0, width: 4, value: 0)
        #expect(!local.wantsInterrupt, "an edge counts once")
        io.setLine(4, false)
        io.setLine(4, true)
        #expect(local.wantsInterrupt)
    }

    @Test func levelsAskAgainUntilServed() {
        writeIO(0x10 + 2 * 10, 0x8061)
        io.setLine(10, true)
        #expect(local.acknowledge() == 0x61)
        io.mmioWrite(offset: 0, width: 4, value: 0x10 + 2 * 10)
        #expect(io.mmioRead(offset: 0x10, width: 4) & 0x4000 != 0, "remote request")
        local.mmioWrite(offset: 0xB0, width: 4, value: 0)
        #expect(local.wantsInterrupt, "the line is still high")
        #expect(local.acknowledge() == 0x61)
        io.setLine(10, false)
        local.mmioWrite(offset: 0xB0, width: 4, value: 0)
        #expect(!local.wantsInterrupt)
    }

    @Test func unmaskingALevel() {
        writeIO(0x10 + 2 * 11, 0x1_8062)
        io.setLine(11, true)
        #expect(!local.wantsInterrupt)
        writeIO(0x10 + 2 * 11, 0x8062)
        #expect(local.acknowledge() == 0x62)
    }

    @Test func priorities() {
        local.accept(vector: 0x41, isLevel: false)
        local.accept(vector: 0x92, isLevel: false)
        #expect(local.acknowledge() == 0x92)
        #expect(!local.wantsInterrupt, "0x41 is less urgent than what is served")
        local.mmioWrite(offset: 0xB0, width: 4, value: 0)
        local.mmioWrite(offset: 0x80, width: 4, value: 0x50)
        #expect(!local.wantsInterrupt, "the task's priority holds it off")
        local.mmioWrite(offset: 0x80, width: 4, value: 0)
        #expect(local.acknowledge() == 0x41)
    }

    @Test func deadlines() {
        local.mmioWrite(offset: 0x320, width: 4, value: 0x4_00EC)
        local.deadline = 1000
        #expect(local.nextEvent == 5_001_000)
        local.advance(to: 5_000_999)
        #expect(!local.wantsInterrupt)
        local.advance(to: 5_001_000)
        #expect(local.acknowledge() == 0xEC)
        #expect(local.deadline == 0)
        #expect(local.nextEvent == nil)
    }

    @Test func periodicTimer() {
        local.mmioWrite(offset: 0x3E0, width: 4, value: 0xB)  // by 1: 40 ns
        local.mmioWrite(offset: 0x320, width: 4, value: 0x2_00EC)
        local.mmioWrite(offset: 0x380, width: 4, value: 100)
        #expect(local.nextEvent == 5_004_000)
        clock.advance(nanoseconds: 1_000)
        #expect(local.mmioRead(offset: 0x390, width: 4) == 75)
        local.advance(to: 5_010_000)
        #expect(local.wantsInterrupt)
        #expect(local.nextEvent == 5_012_000, "the rhythm stays")
    }

    @Test func messageToItself() {
        local.mmioWrite(offset: 0x300, width: 4, value: 0x4_00F6)
        #expect(local.acknowledge() == 0xF6)
        local.mmioWrite(offset: 0x300, width: 4, value: 0xC_00F6)
        #expect(!local.wantsInterrupt, "to all but itself is to nobody")
    }

    @Test func virtualWire() {
        #expect(local.passesExternal, "as firmware leaves it")
        local.mmioWrite(offset: 0x350, width: 4, value: 0x1_0700)
        #expect(!local.passesExternal)
    }
}

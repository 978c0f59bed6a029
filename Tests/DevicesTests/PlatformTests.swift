// SPDX-License-Identifier: Apache-2.0
//
// Timer, clock, serial port and power management of the PC, through their ports.

import Support
import Testing

@testable import Devices

@Suite("8254 timer")
struct IntervalTimerTests {
    let clock = ManualClock(monotonicNanoseconds: 1_000)
    let ports = PortBus(hasStuckKeyboard: false)
    let timer: IntervalTimer

    init() {
        timer = IntervalTimer(clock: clock)
        timer.claimPorts(on: ports)
    }

    func write(_ port: Int, _ value: Int) { ports.write(port: UInt16(port), width: 1, value: UInt32(value)) }
    func read(_ port: Int) -> Int { Int(ports.read(port: UInt16(port), width: 1)) }
    func latched(_ counter: Int) -> Int {
        write(0x43, counter << 6)
        let low = read(0x40 + counter)
        return read(0x40 + counter) << 8 | low
    }
    /// Makes `count` ticks pass.
    func pass(ticks: UInt64) {
        clock.advance(
            nanoseconds: (ticks * 1_000_000_000 + IntervalTimer.frequency - 1) / IntervalTimer.frequency)
    }

    @Test func periodicInterrupts() {
        var edges = 0
        timer.setOutput = { if $0 { edges += 1 } }
        write(0x43, 0x34)
        write(0x40, 4773 & 0xFF)  // 250 Hz
        write(0x40, 4773 >> 8)
        edges = 0
        let first = timer.nextEvent ?? 0
        #expect(first > 1_000 + 3_999_000 && first < 1_000 + 4_002_000)
        timer.advance(to: first - 2_000)
        #expect(edges == 0)
        timer.advance(to: first)
        #expect(edges == 1)
        timer.advance(to: first + 12_001_000)
        #expect(edges == 2, "missed ones count as one")
        #expect((timer.nextEvent ?? 0) - first > 15_900_000, "the rhythm stays")
    }

    @Test func oneShot() {
        write(0x43, 0x30)
        write(0x40, 0x10)
        #expect(timer.nextEvent == nil, "half a count")
        write(0x40, 0x00)
        let due = timer.nextEvent ?? 0
        var edges = 0
        timer.setOutput = { if $0 { edges += 1 } }
        timer.advance(to: due)
        timer.advance(to: due + 100_000_000)
        #expect(edges == 1)
        #expect(timer.nextEvent == nil)
    }

    @Test func countsDownAndLatches() {
        write(0x43, 0xB4)
        write(0x42, 0)
        write(0x42, 0)  // 65536
        write(0x61, 1)
        pass(ticks: 1000)
        let before = latched(2)
        #expect(abs(before - (65536 - 1000)) <= 2)
        write(0x43, 0x80)
        pass(ticks: 500)
        let low = read(0x42)
        #expect(read(0x42) << 8 | low == before, "a latched count stands still")
    }

    @Test func gateAndOutputOfCounter2() {
        write(0x61, 0)
        write(0x43, 0xB0)
        write(0x42, 100)
        write(0x42, 0)
        pass(ticks: 200)
        #expect(read(0x61) & 0x20 == 0, "the gate is closed: it does not count")
        write(0x61, 1)
        pass(ticks: 50)
        #expect(read(0x61) & 0x20 == 0)
        pass(ticks: 60)
        #expect(read(0x61) & 0x20 != 0)
    }

    @Test func readBackAndDecimal() {
        write(0x43, 0x31)
        write(0x40, 0x00)
        write(0x40, 0x10)  // 1000, decimal
        write(0x43, 0xE2)
        #expect(read(0x40) & 0x3F == 0x31, "mode and format")
        pass(ticks: 1)
        #expect([0x0999, 0x0998].contains(latched(0)))
    }
}

@Suite("Clock of the PC")
struct RealTimeClockTests {
    // 2026-11-26 04:45:59 UTC, a Thursday.
    let clock = ManualClock(monotonicNanoseconds: 0, realtimeSeconds: 1_795_668_359)
    let ports = PortBus(hasStuckKeyboard: false)
    let rtc: RealTimeClock

    init() {
        rtc = RealTimeClock(clock: clock)
        rtc.claimPorts(on: ports)
    }

    func read(_ register: UInt32) -> UInt32 {
        ports.write(port: 0x70, width: 1, value: register)
        return ports.read(port: 0x71, width: 1)
    }
    func write(_ register: UInt32, _ value: UInt32) {
        ports.write(port: 0x70, width: 1, value: register)
        ports.write(port: 0x71, width: 1, value: value)
    }

    @Test func decimalTime() {
        #expect([9, 8, 7, 4, 2, 0, 6, 0x32].map(read) == [0x26, 0x11, 0x26, 0x04, 0x45, 0x59, 0x05, 0x20])
        clock.advance(nanoseconds: 1_000_000_000)
        #expect(read(0) == 0 && read(2) == 0x46)
    }

    @Test func binaryAndTwelveHours() {
        write(0xB, 0x04)
        clock.advance(nanoseconds: 9 * 3600 * 1_000_000_000)
        #expect(read(4) == 0x80 | 1, "one in the afternoon")
        #expect(read(9) == 26)
    }

    @Test("the host's time to the nanosecond, all bytes of one moment")
    func exactTime() {
        clock.advance(nanoseconds: 1_000_000_007)
        let bytes = (0..<16).map { index in
            ports.write(port: 0x72, width: 1, value: UInt32(index))
            clock.advance(nanoseconds: 100)
            return UInt8(ports.read(port: 0x73, width: 1))
        }
        #expect(bytes.littleEndian(at: 0, width: 8) == 1_795_668_360)
        #expect(bytes.littleEndian(at: 8, width: 8) == 7)
    }

    @Test func settingIt() {
        write(0xB, 0x82)
        write(9, 0x99)
        write(0x32, 0x19)
        write(8, 0x12)
        write(7, 0x31)
        write(4, 0x23)
        write(2, 0x59)
        write(0, 0x58)
        clock.advance(nanoseconds: 60_000_000_000)
        #expect(read(0) == 0x58, "it stands while it is set")
        write(0xB, 0x02)
        clock.advance(nanoseconds: 2_000_000_000)
        #expect([0x32, 9, 8, 7, 4, 2, 0].map(read) == [0x20, 0, 1, 1, 0, 0, 0])
    }

    @Test func alarm() {
        var line = false
        rtc.setOutput = { line = $0 }
        write(5, 0xC0)
        write(3, 0x46)
        write(1, 0x05)
        write(0xB, 0x22)
        _ = read(0xC)
        clock.advance(nanoseconds: 5_000_000_000)
        rtc.advance()
        #expect(!line)
        clock.advance(nanoseconds: 1_000_000_000)
        rtc.advance()
        #expect(line)
        #expect(read(0xC) & 0xA0 == 0xA0)
        #expect(!line, "reading takes it back")
    }

    @Test func periodicInterrupt() {
        var line = false
        rtc.setOutput = { line = $0 }
        write(0xA, 0x26)  // 1024 Hz
        write(0xB, 0x42)
        _ = read(0xC)
        clock.advance(nanoseconds: 976_563)
        rtc.advance()
        #expect(line)
        #expect(read(0xC) & 0x40 != 0)
    }

    @Test func memory() {
        write(0x40, 0xA5)
        #expect(read(0x40) == 0xA5)
        #expect(read(0xD) == 0x80)
    }

    @Test func calendar() {
        for seconds in [0, 951_782_400, 951_868_799, 1_709_164_800, 4_107_542_400, -86_401] as [Int64] {
            #expect(CivilTime(secondsSince1970: seconds).secondsSince1970 == seconds)
        }
        let leap = CivilTime(secondsSince1970: 951_782_400)
        #expect((leap.year, leap.month, leap.day) == (2000, 2, 29))
        #expect(CivilTime(secondsSince1970: 0).weekday == 5)
    }
}

@Suite("16550 serial port")
struct SerialPortTests {
    final class Box {
        var bytes: [UInt8] = []
        var line = false
        var isPaused = false
    }
    let box = Box()
    let ports = PortBus(hasStuckKeyboard: false)
    let serial: SerialPort

    init() {
        let box = box
        serial = SerialPort { box.bytes += $0 }
        serial.setOutput = { box.line = $0 }
        serial.pauseInput = { box.isPaused = $0 }
        serial.claimPorts(on: ports)
    }

    func write(_ register: Int, _ value: Int) {
        ports.write(port: UInt16(0x3F8 + register), width: 1, value: UInt32(value))
    }
    func read(_ register: Int) -> Int { Int(ports.read(port: UInt16(0x3F8 + register), width: 1)) }

    @Test func output() {
        for byte in "Linux\n".utf8 { write(0, Int(byte)) }
        #expect(String(decoding: box.bytes, as: UTF8.self) == "Linux\n")
        write(0, 0x41)
        #expect(box.bytes.count == 6, "a line is sent in one piece")
        serial.flush()
        #expect(box.bytes.last == 0x41)
        #expect(read(5) & 0x60 == 0x60, "always ready for more")
    }

    @Test func transmitterInterrupt() {
        write(1, 2)
        #expect(box.line)
        #expect(read(2) & 15 == 2)
        #expect(!box.line, "reading the identification takes it back")
        write(0, 0x41)
        #expect(box.line)
    }

    @Test func inputThroughTheFIFO() {
        write(2, 0x81)
        write(1, 1)
        serial.receive((0..<20).map { UInt8($0) })
        #expect(box.line)
        #expect(read(2) == 0xC4, "the trigger level is reached")
        #expect((0..<20).map { _ in read(0) } == Array(0..<20))
        #expect(!box.line)
        #expect(read(5) & 1 == 0)
        serial.receive([7])
        #expect(read(2) == 0xCC, "a timeout: no more comes")
    }

    @Test func inputIsHeldBack() {
        serial.receive([UInt8](repeating: 1, count: 70_000))
        #expect(box.isPaused)
        for _ in 0..<40_000 { _ = read(0) }
        #expect(!box.isPaused)
    }

    @Test func loopback() {
        write(4, 0x1A)
        #expect(read(6) & 0xF0 == 0x90, "out2 and rts come back as dcd and cts")
        write(0, 0x55)
        #expect(read(0) == 0x55)
        #expect(box.bytes.isEmpty)
        write(4, 0)
        #expect(read(6) & 0xF0 == 0xB0)
    }

    @Test func divisorAndScratch() {
        write(3, 0x83)
        write(0, 1)
        write(1, 0)
        #expect(read(0) == 1)
        write(3, 0x03)
        #expect(read(1) == 0)
        write(7, 0x5A)
        #expect(read(7) == 0x5A)
        #expect(box.bytes.isEmpty)
    }
}

@Suite("Power management")
struct PowerManagementTests {
    final class Box {
        var requests: [PlatformRequest] = []
        var line = false
    }
    let box = Box()
    let ports = PortBus(hasStuckKeyboard: false)
    let power = PowerManagement()

    init() {
        let box = box
        power.request = { box.requests.append($0) }
        power.setOutput = { box.line = $0 }
        power.claimPorts(on: ports)
    }

    @Test func off() {
        ports.write(port: 0x604, width: 2, value: 0x3400 | 1)
        #expect(box.requests == [.powerOff])
        #expect(ports.read(port: 0x604, width: 2) & 1 == 1, "ACPI is always on")
    }

    @Test(arguments: [(0x64, 0xFE), (0x92, 1)])
    func resets(port: Int, value: Int) {
        ports.write(port: UInt16(port), width: 1, value: UInt32(value))
        #expect(box.requests == [.reset])
    }

    @Test func noReset() {
        ports.write(port: 0x64, width: 1, value: 0xAE)
        ports.write(port: 0x604, width: 2, value: 0x2000)
        #expect(box.requests.isEmpty)
    }

    @Test func powerButton() {
        power.pressPowerButton()
        #expect(!box.line)
        ports.write(port: 0x602, width: 2, value: 0x100)
        #expect(box.line)
        ports.write(port: 0x600, width: 2, value: 0x100)
        #expect(!box.line)
    }

    @Test func resetControlBesideThePCIAddress() {
        let host = PCIHost(portBus: ports, isPC: true)
        host.writeResetControl = { [power] in power.writeResetControl($0) }
        ports.write(port: 0xCF8, width: 4, value: 0x8000_0000)
        #expect(ports.read(port: 0xCFC, width: 4) == 0x1237_8086)
        ports.write(port: 0xCF9, width: 1, value: 6)
        #expect(box.requests == [.reset])
        #expect(ports.read(port: 0xCF8, width: 4) == 0x8000_0000)
    }
}

@Suite("Platform")
struct PlatformWiringTests {
    @Test func devicesShareInputs() {
        let platform = Platform(hostClock: ManualClock(), start: 0) { _ in }
        let ports = PortBus(hasStuckKeyboard: false)
        platform.attach(to: ports, MMIOBus())
        for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1), (0x21, 0)] {
            ports.write(port: UInt16(port), width: 1, value: UInt32(value))
        }
        for (port, value) in [(0xA0, 0x11), (0xA1, 0x38), (0xA1, 2), (0xA1, 1), (0xA1, 0)] {
            ports.write(port: UInt16(port), width: 1, value: UInt32(value))
        }
        platform.raise(irq: 1)
        platform.raise(irq: 9)
        #expect(PCIRoute.input(slot: 1) == PCIRoute.input(slot: 9))
        #expect(platform.acknowledge() == 0x30 + UInt8(PCIRoute.input(slot: 1)))
        platform.lower(irq: 1)
        ports.write(port: 0xA0, width: 1, value: 0x20)
        ports.write(port: 0x20, width: 1, value: 0x20)
        #expect(platform.wantsInterrupt, "the other one still wants service")
        platform.lower(irq: 9)
        #expect(!platform.wantsInterrupt)
    }
}

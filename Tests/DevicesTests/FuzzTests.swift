// SPDX-License-Identifier: Apache-2.0
//
// A guest that writes at random where devices look. The same numbers each time; nothing may crash, hang
// or reach outside RAM (behind which an inaccessible page waits for whoever tries).

import GuestMemory
import Testing

@testable import Devices

@Suite("Devices under random guests")
struct FuzzTests {
    private static let widths = [1, 2, 4]

    @Test("random ports and configuration registers", arguments: 1...8 as ClosedRange<UInt64>)
    func configuration(seed: UInt64) throws {
        let rig = try Rig(windowSize: ConsoleWindowSize(columns: 80, rows: 25))
        try rig.bus.add(ProbeDevice())
        var random = SplitMix64(seed: seed)
        for _ in 0..<20_000 {
            let width = random.oneOf(Self.widths, else: 1)
            let slot = UInt32.random(in: 0...3, using: &random)
            let register = UInt32.random(in: 0..<0xA0, using: &random)
            let value = UInt32.random(in: 0...UInt32.max, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: FakeDriver(rig, slot: slot).configWrite(register, value, width)
            case 1: _ = FakeDriver(rig, slot: slot).configRead(register, width)
            case 2:
                rig.ports.write(
                    port: UInt16.random(in: 0xCF5...0xD01, using: &random), width: width, value: value)
            default: _ = rig.ports.read(port: UInt16.random(in: 0xCF5...0xD01, using: &random), width: width)
            }
        }
        #expect(FakeDriver(rig).configRead(0) == 0x1043_1AF4)
    }

    @Test("random registers of BAR0", arguments: 1...8 as ClosedRange<UInt64>)
    func registers(seed: UInt64) throws {
        let rig = try Rig()
        let driver = FakeDriver(rig)
        let bar = driver.bar
        var random = SplitMix64(seed: seed &+ 100)
        for _ in 0..<20_000 {
            let width = random.oneOf([1, 2, 4, 8], else: 1)
            let address = bar + UInt64.random(in: 0..<0x88, using: &random)
            // Small values get far: they are valid more often.
            let value =
                Bool.random(using: &random) ? UInt64.random(in: 0..<16, using: &random) : random.next()
            if Bool.random(using: &random) {
                rig.mmio.write(address: address, width: width, value: value)
            } else {
                _ = rig.mmio.read(address: address, width: width)
            }
        }
        let console = FakeConsole(rig)
        #expect(console.driver.status == 0xF, "a reset brings it back")
    }

    @Test("random rings and descriptors", arguments: 1...16 as ClosedRange<UInt64>)
    func rings(seed: UInt64) throws {
        let rig = try Rig()
        var random = SplitMix64(seed: seed &+ 200)
        var failures = 0
        for _ in 0..<150 {
            var console = FakeConsole(rig, size: 16)
            for _ in 0..<12 {
                try scribble(&console, &random)
                console.driver.kick(UInt64.random(in: 0...1, using: &random))
                rig.backend.type("key")
            }
            if console.driver.status & 0x40 != 0 { failures += 1 }
        }
        #expect(failures > 0, "the test must reach the checks")
        #expect(rig.failures.count >= failures)
    }

    /// Writes a few descriptors, mostly plausible, and offers one.
    private func scribble(_ console: inout FakeConsole, _ random: inout SplitMix64) throws {
        for _ in 0..<4 {
            let index = UInt16.random(in: 0..<16, using: &random)
            let anywhere = random.next() & 0xF_FFFF
            let addresses = [0x80000, 0x10000, 0x20000, Rig.ramBytes - 3, anywhere]
            let address: UInt64 = random.oneOf(addresses, else: 0)
            let length: UInt32 = random.oneOf([0, 1, 64, 4096, UInt32(anywhere & 0xFFFF)], else: .max)
            let flags = UInt16.random(in: 0..<8, using: &random)
            let next = UInt16.random(in: 0..<17, using: &random)
            if Bool.random(using: &random) {
                try console.transmit.describe(index, address, min(length, 4096), flags: flags & 1, next: next)
            } else {
                try console.receive.describe(index, address, length, flags: flags | 2, next: next)
            }
        }
        let head = UInt16.random(in: 0..<16, using: &random)
        if Bool.random(using: &random) {
            try console.transmit.offer(head)
        } else {
            try console.receive.offer(head)
        }
        if Int.random(in: 0..<50, using: &random) == 0 {
            let index = UInt16(truncatingIfNeeded: random.next())
            try console.transmit.memory.write(index, at: console.transmit.available + 2)
        }
    }
}

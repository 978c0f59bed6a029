// SPDX-License-Identifier: Apache-2.0
//
// The random number generator and the balloon.

import GuestMemory
import Support
import Testing

@testable import Devices

/// Counts up instead.
final class FakeRandom: RandomSource {
    private var next: UInt8 = 0

    func randomBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in
            next &+= 1
            return next
        }
    }
}

@Suite("Random numbers and balloon")
struct SmallDeviceTests {
    @Test("every buffer is filled", arguments: TransportKind.allCases)
    func entropy(kind: TransportKind) throws {
        let loop = try EventLoop(clock: SystemClock())
        let rig = try DeviceRig(VirtioEntropy(source: FakeRandom()), kind, eventLoop: loop)
        try rig.queues[0].describe(0, DeviceRig.buffers, 10, flags: 3, next: 1)
        try rig.queues[0].describe(1, DeviceRig.buffers + 100, 20, flags: 2)
        try rig.queues[0].offer(0)
        rig.kick(0)
        #expect(try rig.awaitUsed(0).length == 30)
        #expect(try rig.memory.readBytes(DeviceRig.buffers, count: 11) == Array(1...10) + [0])
        #expect(try rig.memory.readBytes(DeviceRig.buffers + 100, count: 21) == Array(11...30) + [0])
    }

    @Test("the host's random source works")
    func system() {
        let bytes = SystemRandom().randomBytes(1000)
        #expect(bytes.count == 1000)
        #expect(Set(bytes).count > 100)
        #expect(SystemRandom().randomBytes(0).isEmpty)
    }

    @Test("lent pages go back to the host, others stay", arguments: TransportKind.allCases)
    func balloon(kind: TransportKind) throws {
        let loop = try EventLoop(clock: SystemClock())
        let balloon = VirtioBalloon(targetPages: 3)
        let rig = try DeviceRig(balloon, kind, eventLoop: loop)
        let pages: [UInt32] = [0x203, 0x201, 0x202, 0x300, 0xFFFF_FFFF, 0x0FFF_FFFF]
        for page in [0x200, 0x201, 0x202, 0x203, 0x204, 0x300] as [UInt64] {
            try rig.memory.write(UInt64.max, at: page << 12)
        }
        for (index, page) in pages.enumerated() {
            try rig.memory.write(page, at: DeviceRig.buffers + UInt64(index) * 4)
        }
        try rig.queues[0].describe(0, DeviceRig.buffers, UInt32(pages.count * 4))
        try rig.queues[0].offer(0)
        rig.kick(0)
        _ = try rig.awaitUsed(0)
        for page in [0x201, 0x202, 0x203, 0x300] as [UInt64] {
            #expect(try rig.memory.read(page << 12, as: UInt64.self) == 0)
        }
        #expect(try rig.memory.read(0x200 << 12, as: UInt64.self) == .max)
        #expect(try rig.memory.read(0x204 << 12, as: UInt64.self) == .max)
        #expect(balloon.discardedPages == 4)
        #expect(balloon.configuration.littleEndian(at: 0, width: 4) == 3)
        balloon.writeConfiguration(offset: 4, width: 4, value: 2)
        #expect(balloon.actualPages == 2)
    }
}

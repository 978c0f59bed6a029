// SPDX-License-Identifier: Apache-2.0
//
// The virtqueue alone: good drivers, and every kind of bad one.

import GuestMemory
import Testing

@testable import Devices

/// A queue with both of its ends in the test's hands.
private final class QueueRig {
    let memory: GuestMemory
    var guest: FakeQueue
    private(set) var queue: Virtqueue?
    private(set) var interrupts = 0
    private(set) var errors: [VirtqueueError] = []

    init(size: UInt16 = 8, features: VirtioFeatures = []) throws {
        memory = try GuestMemory(bytes: 1 << 20)
        guest = FakeQueue(memory: memory, size: size, at: 0x10000)
        queue = try Virtqueue(
            index: 0, layout: guest.layout, features: features, memory: memory,
            interrupt: { [weak self] in self?.interrupts += 1 },
            broken: { [weak self] in self?.errors.append($0) })
    }

    func pop() -> DescriptorChain? { queue?.pop() }

    /// Whether the queue is dead of exactly `error`, and stays so.
    func died(of error: VirtqueueError) -> Bool {
        pop() == nil && errors == [error] && queue?.isLive == false && pop() == nil && errors.count == 1
    }
}

@Suite("Virtqueue")
struct VirtqueueTests {
    @Test("chains come in order and go back in any order, over many laps of the indices")
    func laps() throws {
        let rig = try QueueRig(size: 4)
        let queue = try #require(rig.queue)
        for index in 0..<4 as Range<UInt16> { try rig.guest.describe(index, 0x1000 * UInt64(index + 1), 16) }
        for round in 0..<40_000 {
            try rig.guest.offer(UInt16(round % 4))
            try rig.guest.offer(UInt16((round + 1) % 4))
            let first = try #require(queue.pop())
            let second = try #require(queue.pop())
            #expect(queue.inFlight == 2)
            queue.push(second, written: 0)
            queue.push(first, written: 0)
            #expect(try rig.guest.takeUsed()?.id == UInt32(second.head))
            #expect(try rig.guest.takeUsed()?.id == UInt32(first.head))
        }
        #expect(queue.isLive && queue.inFlight == 0)
    }

    @Test("readable before writable, with their lengths; empty buffers are left out")
    func chain() throws {
        let rig = try QueueRig()
        try rig.guest.describe(5, 0x1000, 16, flags: 1, next: 2)
        try rig.guest.describe(2, 0xFFFF_FFFF_FFFF, 0, flags: 1, next: 7)
        try rig.guest.describe(7, 0x2000, 100, flags: 3, next: 0)
        try rig.guest.describe(0, (1 << 20) - 1, 1, flags: 2)
        try rig.guest.offer(5)
        let chain = try #require(rig.pop())
        #expect(chain.head == 5)
        #expect(chain.readable == [GuestSegment(address: 0x1000, length: 16)])
        #expect(chain.readableLength == 16)
        #expect(chain.writableLength == 101)
        let queue = try #require(rig.queue)
        #expect(queue.fill(chain, with: [UInt8](repeating: 7, count: 200)[...]) == 101)
        #expect(try rig.memory.read((1 << 20) - 1, as: UInt8.self) == 7)
        queue.push(chain, written: 5000)
        #expect(try rig.guest.takeUsed()?.length == 101, "never more than there was room for")
    }

    @Test("indirect tables when agreed upon, also at the end of a chain")
    func indirect() throws {
        let rig = try QueueRig(features: .indirectDescriptors)
        try rig.guest.describe(0, 0x1000, 1, flags: 1, next: 1)
        try rig.guest.describe(1, 0x5000, 32 * 16, flags: 4)
        for index in 0..<32 as Range<UInt16> {
            let flags: UInt16 = index < 31 ? 3 : 2
            try rig.guest.describe(index, 0x6000, 2, flags: flags, next: index + 1, table: 0x5000)
        }
        try rig.guest.offer(0)
        let chain = try #require(rig.pop())
        #expect(chain.readableLength == 1)
        #expect(chain.writableLength == 64)
    }

    @Test("interrupts: once for what is new, none when suppressed, one on empty for old drivers")
    func interrupts() throws {
        let rig = try QueueRig(features: .notifyOnEmpty)
        let queue = try #require(rig.queue)
        try rig.guest.describe(0, 0x1000, 1)
        queue.notifyDriver()
        #expect(rig.interrupts == 0)
        for _ in 0..<2 { try rig.guest.offer(0) }
        while let chain = queue.pop() { queue.push(chain, written: 0) }
        queue.notifyDriver()
        queue.notifyDriver()
        #expect(rig.interrupts == 1)
        try rig.memory.write(UInt16(1), at: rig.guest.available)
        for _ in 0..<2 { try rig.guest.offer(0) }
        if let chain = queue.pop() { queue.push(chain, written: 0) }
        queue.notifyDriver()
        #expect(rig.interrupts == 1)
        if let chain = queue.pop() { queue.push(chain, written: 0) }
        queue.notifyDriver()
        #expect(rig.interrupts == 2)
    }

    @Test("event indices: the driver names the buffer it waits for")
    func eventIndex() throws {
        let rig = try QueueRig(features: .eventIndex)
        let queue = try #require(rig.queue)
        let usedEvent = rig.guest.available + 4 + 16
        try rig.guest.describe(0, 0x1000, 1)
        try rig.memory.write(UInt16(2), at: usedEvent)
        var seen: [Int] = []
        for _ in 0..<4 {
            try rig.guest.offer(0)
            if let chain = queue.pop() { queue.push(chain, written: 0) }
            queue.notifyDriver()
            seen.append(rig.interrupts)
        }
        #expect(seen == [0, 0, 1, 1])
        #expect(!queue.enableNotifications())
        #expect(try rig.memory.read(rig.guest.used + 4 + 64, as: UInt16.self) == 4)
    }

    @Test("no-notify is set and cleared, and a buffer that slipped in is seen")
    func notifications() throws {
        let rig = try QueueRig()
        let queue = try #require(rig.queue)
        queue.disableNotifications()
        #expect(try rig.memory.read(rig.guest.used, as: UInt16.self) == 1)
        #expect(!queue.enableNotifications())
        #expect(try rig.memory.read(rig.guest.used, as: UInt16.self) == 0)
        queue.disableNotifications()
        try rig.guest.describe(0, 0x1000, 1)
        try rig.guest.offer(0)
        #expect(queue.enableNotifications())
    }

    @Test("a retired queue touches nothing any more")
    func retired() throws {
        let rig = try QueueRig()
        let queue = try #require(rig.queue)
        try rig.guest.describe(0, 0x1000, 4, flags: 2)
        try rig.guest.offer(0)
        let chain = try #require(queue.pop())
        queue.retire()
        #expect(queue.fill(chain, with: [1, 2, 3]) == 0)
        queue.push(chain, written: 3)
        queue.notifyDriver()
        queue.disableNotifications()
        #expect(try rig.memory.read(0x1000, as: UInt32.self) == 0)
        #expect(try rig.guest.takeUsed() == nil)
        #expect(rig.interrupts == 0 && rig.errors.isEmpty)
    }
}

@Suite("Broken drivers")
struct BrokenDriverTests {
    @Test("a circle of descriptors")
    func circle() throws {
        let rig = try QueueRig()
        try rig.guest.describe(0, 0x1000, 1, flags: 1, next: 1)
        try rig.guest.describe(1, 0x1000, 1, flags: 1, next: 0)
        try rig.guest.offer(0)
        #expect(rig.died(of: .chainTooLong(head: 0)))
    }

    @Test("a descriptor that follows itself, empty")
    func selfLoop() throws {
        let rig = try QueueRig()
        try rig.guest.describe(3, 0, 0, flags: 1, next: 3)
        try rig.guest.offer(3)
        #expect(rig.died(of: .chainTooLong(head: 3)))
    }

    @Test("a circle in an indirect table")
    func indirectCircle() throws {
        let rig = try QueueRig(features: .indirectDescriptors)
        try rig.guest.describe(0, 0x5000, 16, flags: 4)
        try rig.guest.describe(0, 0x1000, 1, flags: 1, next: 0, table: 0x5000)
        try rig.guest.offer(0)
        #expect(rig.died(of: .chainTooLong(head: 0)))
    }

    @Test("indices that jump", arguments: [9, 0x8000, 0xFFFF] as [UInt16])
    func jump(index: UInt16) throws {
        let rig = try QueueRig()
        try rig.memory.write(index, at: rig.guest.available + 2)
        #expect(rig.died(of: .availableIndexJumped(from: 0, to: index)))
    }

    @Test("descriptor numbers outside the table", arguments: [8, 0xFFFF] as [UInt16])
    func badIndex(index: UInt16) throws {
        let rig = try QueueRig()
        try rig.guest.offer(index)
        #expect(rig.died(of: .badDescriptorIndex(index)))
        let second = try QueueRig()
        try second.guest.describe(0, 0x1000, 1, flags: 1, next: index)
        try second.guest.offer(0)
        #expect(second.died(of: .badDescriptorIndex(index)))
    }

    @Test(
        "buffers outside memory",
        arguments: [
            (1 << 20, 1), ((1 << 20) - 1, 2), (.max, 1), (.max - 1, 0xFFFF_FFFF), (0, (1 << 20) + 1),
            (1 << 63, 1), (0xFFFF_FFFF, 1),
        ] as [(UInt64, UInt32)])
    func outside(address: UInt64, length: UInt32) throws {
        for flags: UInt16 in [0, 2] {
            let rig = try QueueRig()
            try rig.guest.describe(0, address, length, flags: flags)
            try rig.guest.offer(0)
            #expect(rig.died(of: .bufferOutsideMemory(address: address, length: length)))
        }
    }

    @Test("a readable buffer behind a writable one")
    func mixedUp() throws {
        let rig = try QueueRig()
        try rig.guest.describe(0, 0x1000, 1, flags: 3, next: 1)
        try rig.guest.describe(1, 0x1000, 1)
        try rig.guest.offer(0)
        #expect(rig.died(of: .readableAfterWritable(head: 0)))
    }

    @Test("indirect tables that are not agreed upon, nested, followed, of odd size or elsewhere")
    func badIndirect() throws {
        let plain = try QueueRig()
        try plain.guest.describe(0, 0x5000, 16, flags: 4)
        try plain.guest.offer(0)
        #expect(plain.died(of: .badIndirect(head: 0)))
        for (length, flags): (UInt32, UInt16) in [(0, 4), (17, 4), (16, 5)] {
            let rig = try QueueRig(features: .indirectDescriptors)
            try rig.guest.describe(0, 0x5000, length, flags: flags)
            try rig.guest.offer(0)
            #expect(rig.died(of: .badIndirect(head: 0)))
        }
        let nested = try QueueRig(features: .indirectDescriptors)
        try nested.guest.describe(0, 0x5000, 16, flags: 4)
        try nested.guest.describe(0, 0x5000, 16, flags: 4, table: 0x5000)
        try nested.guest.offer(0)
        #expect(nested.died(of: .badIndirect(head: 0)))
        let outside = try QueueRig(features: .indirectDescriptors)
        try outside.guest.describe(0, (1 << 20) - 16, 32, flags: 4)
        try outside.guest.offer(0)
        #expect(outside.died(of: .bufferOutsideMemory(address: (1 << 20) - 16, length: 32)))
        let beyond = try QueueRig(features: .indirectDescriptors)
        try beyond.guest.describe(0, 0x5000, 16, flags: 4)
        try beyond.guest.describe(0, 0x1000, 1, flags: 1, next: 1, table: 0x5000)
        try beyond.guest.offer(0)
        #expect(beyond.died(of: .badDescriptorIndex(1)))
    }

    @Test("more than 4 GiB in one chain, all of it the same memory")
    func huge() throws {
        let rig = try QueueRig(features: .indirectDescriptors)
        let memory = rig.memory
        // 1024 × 1 MiB is below 4 GiB and well-formed; so two tables' worth cannot be reached, and the
        // longest possible chain stays countable.
        try rig.guest.describe(0, 0x20000, 1024 * 16, flags: 4)
        for index in 0..<1024 as Range<UInt16> {
            try rig.guest.describe(
                index, 0, UInt32(memory.size), flags: index < 1023 ? 1 : 0, next: index + 1, table: 0x20000)
        }
        try rig.guest.offer(0)
        #expect(rig.pop()?.readableLength == 1 << 30)
        var chain = DescriptorChain(head: 0)
        let segment = GuestSegment(address: 0, length: .max)
        try chain.append(segment, writable: false)
        #expect(throws: VirtqueueError.chainTooLarge(head: 0)) { try chain.append(segment, writable: true) }
    }

    @Test("the same buffer again and again: no more in flight than the queue holds")
    func tooMany() throws {
        let rig = try QueueRig(size: 4)
        try rig.guest.describe(0, 0x1000, 1)
        for _ in 0..<4 { try rig.guest.offer(0) }
        for _ in 0..<4 { #expect(rig.pop() != nil) }
        try rig.guest.offer(0)
        #expect(rig.died(of: .tooManyInFlight))
    }

    @Test("the console is marked as failed, says so once, and still prints emergencies")
    func console() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        try console.transmit.describe(0, Rig.ramBytes, 10)
        try console.transmit.offer(0)
        console.driver.kick(1)
        #expect(console.driver.status == 0x4F)
        #expect(console.driver.read(0x3A, 1) == 2)
        #expect(rig.failures == [.bufferOutsideMemory(address: Rig.ramBytes, length: 10)])
        try console.print("lost")
        rig.backend.type("x")
        #expect(rig.backend.text.isEmpty && rig.failures.count == 1)
        console.driver.emergencyWrite(0x21)
        #expect(rig.backend.text == "!")
        try rig.memory.zero(0x10000, count: 0x20000)
        var second = FakeConsole(rig)
        try second.print("back")
        #expect(rig.backend.text == "!back")
    }

    @Test("console buffers of the wrong direction")
    func wrongDirection() throws {
        let rig = try Rig()
        var console = FakeConsole(rig)
        try console.transmit.describe(0, 0x80000, 1, flags: 2)
        try console.transmit.offer(0)
        console.driver.kick(1)
        #expect(console.driver.status == 0x4F)
        let other = try Rig()
        var second = FakeConsole(other)
        try second.receive.describe(0, 0x40000, 16)
        try second.receive.offer(0)
        second.driver.kick(0)
        #expect(second.driver.status == 0xF, "not looked at before there is input")
        other.backend.type("x")
        #expect(second.driver.status == 0x4F)
    }
}

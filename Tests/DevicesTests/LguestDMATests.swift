// SPDX-License-Identifier: Apache-2.0
//
// The device bus of Linux 2.6.23, with the test as its drivers.

import GuestMemory
import Support
import Testing

@testable import Devices

/// A bus with a console, a disk and a network card, in that order.
private final class DMARig {
    static let ram: UInt64 = 1 << 20
    let memory: GuestMemory
    let interrupts = RecordingInterrupts()
    let eventLoop: EventLoop
    let bus: LguestDMABus
    let console = BufferBackend()
    let network = FakeNetwork()
    let disk: Disk
    let file: TemporaryFile

    init(readOnly: Bool = false) throws {
        memory = try GuestMemory(bytes: Self.ram, devicePages: 17)
        eventLoop = try EventLoop(clock: SystemClock())
        bus = LguestDMABus(memory: memory, interrupts: interrupts, base: Self.ram, eventLoop: eventLoop)
        file = TemporaryFile((0..<8192).map { UInt8(truncatingIfNeeded: $0 / 512) })
        disk = Disk(image: try FileImage(path: file.path, isReadOnly: readOnly), eventLoop: eventLoop)
        try bus.addConsole(console)
        try bus.addDisk(disk)
        let mac = try MACAddress(parsing: "02:00:00:00:12:34")
        try bus.addNetwork(Network(backend: network, mac: mac))
        bus.start()
    }

    func word(_ address: UInt64) throws -> UInt32 { try memory.read(address) }

    /// A list at `address` with these pieces.
    func list(at address: UInt64, used: UInt32 = 0, _ pieces: [(UInt32, UInt16)]) throws {
        try memory.write(used, at: address)
        for index in 0..<16 {
            let piece = index < pieces.count ? pieces[index] : (0, 0)
            try memory.write(piece.0, at: address + 4 + 4 * UInt64(index))
            try memory.write(piece.1, at: address + 68 + 2 * UInt64(index))
        }
    }

    /// Turns the event loop until `condition` holds, for at most a minute.
    func wait(_ condition: () throws -> Bool) throws {
        for _ in 0..<60_000 where try !condition() { eventLoop.wait(timeoutNanoseconds: 1_000_000) }
        #expect(try condition())
    }

    static let console: UInt32 = 0
    static let diskPage = UInt32(ram) + 2 * 4096
    static let netPage = UInt32(ram) + 3 * 4096
}

@Suite("Devices of Linux 2.6.23")
struct LguestDMATests {
    @Test("descriptors: type, features, pages")
    func descriptors() throws {
        let rig = try DMARig()
        let page = try rig.memory.readBytes(DMARig.ram, count: 48)
        func half(_ at: Int) -> UInt64 { page.littleEndian(at: at, width: 2) }
        #expect([half(0), half(12), half(24), half(36)] == [1, 3, 2, 0])
        #expect(half(26) == 0x8001 && half(6) == 1)
        #expect(page.littleEndian(at: 20, width: 4) == UInt64(DMARig.diskPage >> 12))
        #expect(rig.bus.guestID == 0x1234)
        #expect(try rig.word(UInt64(DMARig.diskPage) + 16) == 16)
        // The host wants all frames.
        #expect(try rig.memory.readBytes(UInt64(DMARig.netPage), count: 1)[0] & 1 == 1)
    }

    @Test("console: output at once, input when the list is free")
    func console() throws {
        let rig = try DMARig()
        try rig.memory.writeBytes(Array("hello".utf8), at: 0x5000)
        try rig.list(at: 0x4000, [(0x5000, 2), (0x5002, 3)])
        #expect(rig.bus.send(key: 0, address: 0x4000) == true)
        #expect(try rig.console.text == "hello" && rig.word(0x4000) == 5)
        rig.console.type("abcdef")
        try rig.list(at: 0x6000, [(0x7000, 4)])
        #expect(rig.bus.bind(key: 0, array: 0x6000, count: 1, irq: 1))
        #expect(try rig.word(0x6000) == 4 && rig.interrupts.raised[1] == 1)
        #expect(try rig.memory.readBytes(0x7000, count: 4) == Array("abcd".utf8))
        // Nobody tells of this; it is found all the same.
        try rig.memory.write(0 as UInt32, at: 0x6000)
        try rig.wait { try rig.word(0x6000) == 2 }
        #expect(try rig.memory.readBytes(0x7000, count: 2) == Array("ef".utf8))
    }

    private func request(
        _ rig: DMARig, type: UInt32, sector: UInt32, bytes: UInt32, sent: [(UInt32, UInt16)]
    ) throws -> UInt32 {
        let page = UInt64(DMARig.diskPage)
        for (index, value) in [type, sector, bytes, 0].enumerated() {
            try rig.memory.write(value, at: page + 4 * UInt64(index))
        }
        try rig.list(at: 0x4000, sent)
        #expect(rig.bus.send(key: DMARig.diskPage, address: 0x4000) == true)
        try rig.wait { try rig.word(page + 12) != 0 }
        return try rig.word(page + 12)
    }

    @Test("disk: reads, writes, and what is not possible")
    func disk() throws {
        let rig = try DMARig()
        try rig.list(at: 0x6000, [(0x8000, 512), (0x9000, 512)])
        #expect(rig.bus.bind(key: DMARig.diskPage, array: 0x6000, count: 1, irq: 2))
        #expect(try request(rig, type: 0, sector: 3, bytes: 1024, sent: []) == 1)
        #expect(try rig.word(0x6000) == 1024 && rig.interrupts.raised[2] == 1)
        #expect(try rig.memory.readBytes(0x8000, count: 512) == [UInt8](repeating: 3, count: 512))
        #expect(try rig.memory.readBytes(0x9000, count: 512) == [UInt8](repeating: 4, count: 512))
        try rig.memory.writeBytes([UInt8](repeating: 0xEE, count: 512), at: 0xA000)
        #expect(try request(rig, type: 1, sector: 1, bytes: 512, sent: [(0xA000, 512)]) == 1)
        rig.disk.finish()
        #expect(rig.file.bytes[512..<1024].allSatisfy { $0 == 0xEE } && rig.file.bytes[511] == 0)
        // Beyond the end, not whole sectors, another length than announced, a type that is none.
        try rig.memory.write(0 as UInt32, at: 0x6000)
        #expect(try request(rig, type: 1, sector: 16, bytes: 512, sent: [(0xA000, 512)]) == 2)
        #expect(try request(rig, type: 1, sector: .max, bytes: 512, sent: [(0xA000, 512)]) == 2)
        #expect(try request(rig, type: 1, sector: 0, bytes: 100, sent: [(0xA000, 100)]) == 2)
        #expect(try request(rig, type: 1, sector: 0, bytes: 512, sent: [(0xA000, 256)]) == 2)
        #expect(try request(rig, type: 0, sector: 0, bytes: 512, sent: []) == 2)
        #expect(try request(rig, type: 7, sector: 0, bytes: 512, sent: [(0xA000, 512)]) == 2)
        let readOnly = try DMARig(readOnly: true)
        #expect(readOnly.bus.bind(key: DMARig.diskPage, array: 0x6000, count: 1, irq: 2))
        #expect(try request(readOnly, type: 1, sector: 0, bytes: 512, sent: [(0xA000, 512)]) == 2)
    }

    @Test("network: frames both ways, and waiting for a free list")
    func network() throws {
        let rig = try DMARig()
        try rig.memory.writeBytes(Array("a frame".utf8), at: 0x5000)
        try rig.list(at: 0x4000, [(0x5000, 7)])
        #expect(rig.bus.send(key: DMARig.netPage, address: 0x4000) == true)
        #expect(rig.network.sent.map(\.bytes) == [Array("a frame".utf8)])
        for n in 0..<2 as Range<UInt64> {
            try rig.list(at: 0x6000 + 100 * n, [(UInt32(0x8000 + 0x1000 * n), 1514)])
        }
        #expect(rig.bus.bind(key: DMARig.netPage + 4, array: 0x6000, count: 2, irq: 3))
        for n in 0..<3 as Range<UInt8> { rig.network.arrive([UInt8](repeating: n, count: 60)) }
        #expect(try rig.word(0x6000) == 60 && rig.word(0x6064) == 60 && rig.network.waitingCount == 1)
        #expect((rig.interrupts.raised[3] ?? 0) > 0)
        try rig.memory.write(0 as UInt32, at: 0x6000)
        try rig.wait { rig.network.waitingCount == 0 }
        #expect(try rig.memory.readBytes(0x8000, count: 60) == [UInt8](repeating: 2, count: 60))
        // Longer than any list: lost, as on a wire.
        try rig.memory.write(0 as UInt32, at: 0x6000)
        rig.network.arrive([UInt8](repeating: 9, count: 2000))
        #expect(try rig.network.waitingCount == 0 && rig.word(0x6000) == 0)
    }

    @Test("hostile drivers: lists and arrays outside memory, keys that nobody has, too many bindings")
    func hostile() throws {
        let rig = try DMARig()
        #expect(rig.bus.send(key: 0, address: 0xFFFF_FFF0) == nil)
        try rig.list(at: 0x4000, [(0xFFFF_F000, 4096)])
        #expect(rig.bus.send(key: 0, address: 0x4000) == nil)
        try rig.list(at: 0x4000, [(0x5000, 1)])
        #expect(rig.bus.send(key: 77, address: 0x4000) == false)
        #expect(!rig.bus.bind(key: 0, array: 0xFFFF_FF00, count: 1 << 20, irq: 1))
        #expect(!rig.bus.bind(key: 0, array: 0, count: 1, irq: 200))
        #expect(!rig.bus.bind(key: 5, array: 0, count: 0, irq: 0))
        #expect((0..<40).filter { rig.bus.bind(key: 100 + $0, array: 0x4000, count: 1, irq: 1) }.count == 32)
        #expect(rig.bus.bind(key: 100, array: 0, count: 0, irq: 0))
        rig.bus.reset()
        #expect(rig.bus.bind(key: 100, array: 0x4000, count: 1, irq: 1))
    }
}

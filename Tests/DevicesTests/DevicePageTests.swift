// SPDX-License-Identifier: Apache-2.0
//
// The lguest device page as guests from 2.6.24 to 3.19 read it (lguest ABI 8).

import GuestMemory
import Support
import Testing

@testable import Devices

@Suite("Device page")
struct DevicePageTests {
    private let memory: GuestMemory
    private let interrupts = RecordingInterrupts()
    private let page: DevicePage
    private let probe = ProbeDevice()
    private let console = VirtioConsole(backend: BufferBackend())

    init() throws {
        memory = try GuestMemory(bytes: 1 << 20, devicePages: DevicePage.pageCount)
        page = DevicePage(memory: memory, interrupts: interrupts, base: memory.ramSize)
        try page.add(probe)
        try page.add(console)
    }

    @Test("descriptors lie one behind the other, as the guest expects them")
    func layout() throws {
        let bytes = try memory.readBytes(1 << 20, count: 80)
        // Type 4, one queue, 4 bytes of features, no configuration, status 0; 8 entries, IRQ 1, page 0x101.
        #expect(Array(bytes[0..<13]) == [4, 1, 4, 0, 0, 8, 0, 1, 0, 1, 1, 0, 0])
        #expect(bytes.littleEndian(at: 13, width: 4) == 1 << 28 | 1 << 29)
        #expect(bytes.littleEndian(at: 17, width: 4) == 0)
        #expect(Array(bytes[21..<26]) == [3, 2, 4, 12, 0])
        // Queues of 256 entries take three pages, those of 8 two.
        #expect(Array(bytes[26..<34]) == [0, 1, 2, 0, 3, 1, 0, 0])
        #expect(Array(bytes[34..<42]) == [0, 1, 3, 0, 6, 1, 0, 0])
        #expect(bytes[62..<80].allSatisfy { $0 == 0 }, "type 0 ends the list")
    }

    @Test("the first kick starts a device, in any status; a reset clears the rings")
    func start() throws {
        let base = memory.ramSize
        #expect(page.notify(base + 0x1000) == .device)
        #expect(probe.activations == 1)
        #expect(probe.notified == [0])
        try memory.write(UInt64.max, at: base + 0x1000)
        try memory.write(UInt32.max, at: base + 17)
        try memory.write(UInt8(0), at: base + 4)
        #expect(page.notify(base) == .device)
        #expect(probe.resets == 1)
        #expect(try memory.read(base + 0x1000, as: UInt64.self) == 0)
        #expect(try memory.read(base + 17, as: UInt32.self) == 0, "accepted features")
    }

    @Test("kernels that announce every status, and those that announce only resets")
    func statusStyles() throws {
        let base = memory.ramSize
        func announce(_ status: UInt8) throws {
            try memory.write(status, at: base + 4)
            _ = page.notify(base)
        }
        for status in [0, 1, 3, 7] as [UInt8] { try announce(status) }
        #expect(probe.activations == 1)
        #expect(probe.resets == 1)
        try announce(0)
        // 2.6.25: it works without a word, then wants a reset and says nothing else.
        try memory.write(UInt8(7), at: base + 4)
        _ = page.notify(base + 0x1000)
        #expect(probe.activations == 2)
        _ = page.notify(base)
        #expect(probe.resets == 3)
        #expect(try memory.read(base + 4, as: UInt8.self) == 0)
    }

    @Test("other addresses are not for devices")
    func others() {
        for address in [0, 0x1000, memory.ramSize - 1, memory.ramSize + 21 + 1, memory.size, .max] {
            #expect(page.notify(address) == .other)
        }
        #expect(page.notify(memory.ramSize + 21) == .device)
    }

    @Test("a full page is refused with a reason, and nothing is written behind it")
    func full() throws {
        var added = 0
        let error = #expect(throws: LguestError.self) {
            while added < 1000 {
                try page.add(VirtioEntropy(source: FakeRandom()))
                added += 1
            }
        }
        #expect(error?.code == .badInput)
        #expect(added > 30)
    }
}

/// The page as Linux 2.6.24 reads it: each device is a list of fields.
@Suite("Device page of Linux 2.6.24")
struct DeviceFieldTests {
    private let memory: GuestMemory
    private let page: DevicePage
    private let eventLoop: EventLoop
    private var base: UInt64 { memory.ramSize }

    init() throws {
        memory = try GuestMemory(bytes: 4 << 20, devicePages: DevicePage.pageCount)
        page = DevicePage(
            memory: memory, interrupts: RecordingInterrupts(), base: memory.ramSize, format: .fields)
        eventLoop = try EventLoop(clock: SystemClock())
    }

    /// The fields of the descriptor at `offset`, by a walk like the guest's, and where the next one begins.
    private func fields(at offset: UInt64) throws -> (type: UInt8, list: [VirtioField], end: UInt64) {
        let head = try memory.readBytes(base + offset, count: 3)
        let bytes = try memory.readBytes(base + offset + 3, count: Int(head[1]))
        var list: [VirtioField] = []
        var at = 0
        while at < bytes.count {
            let length = Int(bytes[at + 1])
            list.append(VirtioField(type: bytes[at], Array(bytes[at + 2..<at + 2 + length])))
            at += 2 + length
        }
        #expect(at == bytes.count)
        return (head[0], list, offset + 3 + UInt64(bytes.count))
    }

    /// The queues that a descriptor's fields name.
    private func queues(_ list: [VirtioField]) -> [FakeQueue] {
        list.filter { $0.type == 2 }.map { field in
            FakeQueue(
                memory: memory, size: UInt16(field.value.littleEndian(at: 0, width: 2)),
                legacyAt: field.value.littleEndian(at: 4, width: 4) << 12)
        }
    }

    @Test("fields name queues, sectors and addresses; other devices are left out")
    func layout() throws {
        let file = TemporaryFile([UInt8](repeating: 0, count: 512 * 9))
        let disk = try Disk(DiskSpecification(path: file.path), eventLoop: eventLoop)
        let network = Network(backend: FakeNetwork(), mac: try MACAddress(parsing: "02:00:00:00:00:2a"))
        let all: [any VirtioDevice] = [
            VirtioBlock(disk: disk, index: 0), VirtioEntropy(source: FakeRandom()),
            VirtioNet(network: network), VirtioConsole(backend: BufferBackend()),
        ]
        let (known, unknown) = page.sort(all)
        #expect(unknown.map(\.deviceID) == [4])
        for device in known { try page.add(device) }
        let block = try fields(at: 0)
        #expect(block.type == 2)
        #expect(block.list.map(\.type) == [2, 0x41, 0x43])
        #expect(block.list[0].value == [0, 1, 1, 0, 1, 4, 0, 0], "256 entries, IRQ 1, the page behind")
        #expect(block.list[1].value == [9, 0, 0, 0, 0, 0, 0, 0])
        let net = try fields(at: block.end)
        #expect(net.type == 1)
        #expect(net.list.map(\.type) == [2, 2, 0x41])
        #expect(net.list[2].value == [2, 0, 0, 0, 0, 0x2A])
        let console = try fields(at: net.end)
        #expect(console.type == 3)
        #expect(console.list.map(\.type) == [2, 2])
        #expect(try memory.read(base + console.end, as: UInt8.self) == 0, "the end of the list")
        disk.close()
    }

    @Test("a disk's requests have eight bytes more in their header")
    func block() throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 4096))
        let disk = try Disk(DiskSpecification(path: file.path), eventLoop: eventLoop)
        try page.add(VirtioBlock(disk: disk, index: 0))
        var queue = queues(try fields(at: 0).list)[0]
        let (header, data) = (DeviceRig.buffers, DeviceRig.buffers + 0x1000)
        /// Header, data, status, each a buffer of its own, as the driver has them.
        func request(_ type: UInt32, sector: UInt64) throws -> UInt8 {
            try memory.write(type, at: header)
            try memory.write(sector, at: header + 8)
            try memory.write(UInt64(0xDEAD_BEEF), at: header + 16)
            try memory.write(UInt8(0xEE), at: header + 24)
            try queue.describe(0, header, 24, flags: 1, next: 1)
            try queue.describe(1, data, 512, flags: type & 1 != 0 ? 1 : 3, next: 2)
            try queue.describe(2, header + 24, 1, flags: 2)
            try queue.offer(0)
            #expect(page.notify(queue.descriptors) == .device)
            for _ in 0..<5000 {
                if try queue.takeUsed() != nil { return try memory.read(header + 24) }
                eventLoop.wait(timeoutNanoseconds: 2_000_000)
            }
            throw TestTimeout()
        }
        let sector = (0..<512).map { UInt8(truncatingIfNeeded: $0 * 5) }
        try memory.writeBytes(sector, at: data)
        #expect(try request(1, sector: 3) == 0)
        try memory.zero(data, count: 512)
        #expect(try request(0, sector: 3) == 0)
        #expect(try memory.readBytes(data, count: 512) == sector)
        #expect(try request(0x8000_0001, sector: 4) == 0, "a barrier")
        #expect(try request(0, sector: 8) == 1, "behind the end")
        #expect(try request(2, sector: 0) == 2, "SCSI")
        disk.close()
        #expect(Array(file.bytes[3 * 512..<5 * 512]) == sector + sector)
        #expect(file.bytes[..<(3 * 512)].allSatisfy { $0 == 7 })
    }

    @Test("a card's frames have two bytes less in their header")
    func net() throws {
        let backend = FakeNetwork()
        let network = Network(backend: backend, mac: try MACAddress(parsing: "02:00:00:00:00:2a"))
        try page.add(VirtioNet(network: network))
        var queues = queues(try fields(at: 0).list)
        let frame = (0..<60).map { UInt8($0) }
        let (header, data) = (DeviceRig.buffers, DeviceRig.buffers + 0x1000)
        // A header that asks for what was not agreed upon changes nothing.
        try memory.writeBytes([1, 1, 0, 2, 34, 0, 16, 0] + [0xAA, 0xAA], at: header)
        try memory.writeBytes(frame, at: data)
        try queues[1].describe(0, header, 8, flags: 1, next: 1)
        try queues[1].describe(1, data, 60)
        try queues[1].offer(0)
        #expect(page.notify(queues[1].descriptors) == .device)
        #expect(backend.sent.map(\.bytes) == [frame])
        #expect(backend.sent.first?.offload == FrameOffload())
        #expect(backend.accepted == [])

        try memory.writeBytes([UInt8](repeating: 0xEE, count: 1600), at: header)
        try queues[0].describe(0, header, 8, flags: 3, next: 1)
        try queues[0].describe(1, header + 8, 1514, flags: 2)
        try queues[0].offer(0)
        #expect(page.notify(queues[0].descriptors) == .device)
        backend.arrive(frame)
        #expect(try queues[0].takeUsed()?.length == 68)
        #expect(try memory.readBytes(header, count: 69) == [0, 0, 0, 0, 0, 0, 0, 0] + frame + [0xEE])
    }
}

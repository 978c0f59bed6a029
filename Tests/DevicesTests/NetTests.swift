// SPDX-License-Identifier: Apache-2.0
//
// The network card, against a network that the test plays.

import GuestMemory
import Support
import Testing

@testable import Devices

/// Keeps what is sent, and hands over what the test has to receive.
final class FakeNetwork: NetworkBackend {
    var offloads: NetworkOffloads = .all
    var leaves: NetworkOffloads = .all
    private(set) var sent: [NetworkFrame] = []
    private(set) var accepted: NetworkOffloads = []
    private var waiting: [NetworkFrame] = []
    private weak var client: (any NetworkClient)?

    func start(client: any NetworkClient, accepted: NetworkOffloads) {
        self.client = client
        self.accepted = accepted
    }
    func stop() { client = nil }
    func close() {}
    func send(_ frame: HostBuffers, _ offload: FrameOffload) {
        sent.append(NetworkFrame(offload: offload, bytes: frame.bytes))
    }
    func sendingEnded() {}

    /// A frame comes in from the wire.
    func arrive(_ bytes: [UInt8]) {
        waiting.append(NetworkFrame(bytes: bytes))
        receiveMore()
    }
    var waitingCount: Int { waiting.count }

    func receiveMore() {
        while let frame = waiting.first, let client, client.frameArrived(frame.bytes[...], frame.offload) {
            waiting.removeFirst()
        }
        client?.framesEnded()
    }
}

@Suite("Network card")
struct NetTests {
    private static let mac = "02:00:00:00:00:2a"

    private func rig(_ kind: TransportKind, _ features: VirtioFeatures) throws -> (DeviceRig, FakeNetwork) {
        let backend = FakeNetwork()
        let network = Network(backend: backend, mac: try MACAddress(parsing: Self.mac))
        let loop = try EventLoop(clock: SystemClock())
        return (
            try DeviceRig(VirtioNet(network: network), kind, eventLoop: loop, features: features), backend
        )
    }

    private let frame = (0..<100).map { UInt8($0) }

    @Test("sends a frame, whatever buffers it is in", arguments: TransportKind.allCases, [false, true])
    func transmit(kind: TransportKind, checksum: Bool) throws {
        let (rig, backend) = try rig(kind, checksum ? .netChecksum : [])
        let header = kind == .pci ? 12 : 10
        let base = DeviceRig.buffers
        let bytes = [UInt8(1), 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0].prefix(header) + frame
        try rig.memory.writeBytes(bytes, at: base)
        // The first buffer ends within the header, the second within the frame.
        try rig.queues[1].describe(0, base, 4, flags: 1, next: 1)
        try rig.queues[1].describe(1, base + 4, 50, flags: 1, next: 2)
        try rig.queues[1].describe(2, base + 54, UInt32(bytes.count - 54))
        try rig.queues[1].offer(0)
        rig.kick(1)
        _ = try rig.awaitUsed(1)
        #expect(backend.sent.map(\.bytes) == [frame])
        #expect(backend.sent.first?.offload.flags == (checksum ? 1 : 0), "only if it was agreed upon")
        #expect(backend.sent.first?.offload.checksumStart == (checksum ? 34 : 0))
    }

    @Test("Linux 2.6.27 to 2.6.30: features are accepted after the first buffers are there")
    func lateFeatures() throws {
        let memory = try GuestMemory(bytes: 4 << 20, devicePages: DevicePage.pageCount)
        let base = memory.ramSize
        let page = DevicePage(memory: memory, interrupts: RecordingInterrupts(), base: base)
        let backend = FakeNetwork()
        try page.add(VirtioNet(network: Network(backend: backend, mac: try MACAddress(parsing: Self.mac))))
        var queues = try (0..<UInt64(2)).map {
            FakeQueue(
                memory: memory, size: 256,
                legacyAt: UInt64(try memory.read(base + 9 + 8 * $0, as: UInt32.self)) << 12)
        }
        func announce(_ status: UInt8) throws {
            try memory.write(status, at: base + 4)
            _ = page.notify(base)
        }
        try announce(1)
        try announce(3)
        try queues[0].describe(0, DeviceRig.buffers, 2048, flags: 2)
        try queues[0].offer(0)
        _ = page.notify(queues[0].descriptors)
        backend.arrive([9, 9, 9])
        #expect(try queues[0].takeUsed() == nil, "how long the header is to be is not known yet")
        let features = VirtioFeatures([.netChecksum, .netMergeableBuffers]).rawValue
        try memory.write(UInt32(features), at: base + 5 + 16 + 4)
        try announce(7)
        backend.arrive([1, 2, 3])
        #expect(try queues[0].takeUsed()?.length == 15, "mergeable: twelve bytes of header")
        try memory.writeBytes([1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0] + frame, at: DeviceRig.buffers)
        try queues[1].describe(0, DeviceRig.buffers, 112)
        try queues[1].offer(0)
        _ = page.notify(queues[1].descriptors)
        #expect(backend.sent.map(\.bytes) == [frame])
        #expect(backend.sent.first?.offload.checksumStart == 34)
    }

    @Test("one frame in several mergeable buffers", arguments: TransportKind.allCases)
    func mergeable(kind: TransportKind) throws {
        let (rig, backend) = try rig(kind, .netMergeableBuffers)
        backend.arrive(frame)
        #expect(backend.waitingCount == 1, "no buffers yet: it waits")
        for index in 0..<UInt16(4) {
            try rig.queues[0].describe(index, DeviceRig.buffers + UInt64(index) * 64, 40, flags: 2)
            try rig.queues[0].offer(index)
        }
        rig.kick(0)
        // 12 bytes of header and 100 of frame are 40 + 40 + 32.
        var received: [UInt8] = []
        for index in 0..<UInt32(3) {
            let used = try rig.awaitUsed(0)
            #expect(used.id == index)
            received += try rig.memory.readBytes(
                DeviceRig.buffers + UInt64(index) * 64, count: Int(used.length))
        }
        #expect(received.count == 112)
        #expect(Array(received[10..<12]) == [3, 0], "the number of buffers")
        #expect(Array(received.dropFirst(12)) == frame)
        #expect(try rig.queues[0].takeUsed() == nil)
    }

    @Test("a buffer longer than the one before holds no more than that", arguments: TransportKind.allCases)
    func longerBuffer(kind: TransportKind) throws {
        let (rig, backend) = try rig(kind, .netMergeableBuffers)
        for (index, length) in ([40, 70, 40, 40] as [UInt32]).enumerated() {
            let index = UInt16(index)
            try rig.queues[0].describe(index, DeviceRig.buffers + UInt64(index) * 128, length, flags: 2)
            try rig.queues[0].offer(index)
        }
        rig.kick(0)
        backend.arrive(frame)
        let lengths = try (0..<3).map { _ in try rig.awaitUsed(0).length }
        #expect(lengths == [40, 40, 32], "Linux 4.12 drops what is longer")
    }

    @Test("a frame that does not fit is lost, the next one is not", arguments: TransportKind.allCases)
    func tooLarge(kind: TransportKind) throws {
        let (rig, backend) = try rig(kind, [])
        try rig.queues[0].describe(0, DeviceRig.buffers, 64, flags: 2)
        try rig.queues[0].offer(0)
        rig.kick(0)
        backend.arrive(frame)
        backend.arrive([1, 2, 3])
        #expect(try rig.awaitUsed(0).length == (kind == .pci ? 15 : 13))
        #expect(backend.waitingCount == 0)
    }

    @Test("without a driver frames are lost, after a reset too", arguments: TransportKind.allCases)
    func noDriver(kind: TransportKind) throws {
        let (rig, backend) = try rig(kind, [])
        try rig.reset()
        backend.arrive(frame)
        try rig.start([])
        try rig.queues[0].describe(0, DeviceRig.buffers, 2000, flags: 2)
        try rig.queues[0].offer(0)
        rig.kick(0)
        backend.arrive([9])
        #expect(try rig.awaitUsed(0).length > 0)
    }

    @Test("the words of --tunnet and --net")
    func specification() throws {
        let mac = try MACAddress(parsing: Self.mac)
        #expect(try NetworkSpecification(tunnet: "192.168.19.1") == .init(.tap(address: 0xC0A8_1301)))
        #expect(
            try NetworkSpecification(tunnet: "10.0.0.1:\(Self.mac)")
                == .init(.tap(address: 0x0A00_0001), mac: mac))
        #expect(
            try NetworkSpecification(tunnet: "bridge:br0:\(Self.mac)") == .init(.bridge("br0"), mac: mac))
        #expect(try NetworkSpecification(net: "passt") == .init(.passt))
        #expect(
            try NetworkSpecification(net: "user,hostfwd=tcp:8080:80,hostfwd=udp:53:5353,mac=\(Self.mac)")
                == .init(
                    .user, mac: mac,
                    forwards: [
                        .init(hostPort: 8080, guestPort: 80),
                        .init(isUDP: true, hostPort: 53, guestPort: 5353),
                    ]))
        for bad in ["", "1.2.3", "1.2.3.256", "1.2.3.4:", "bridge:", "bridge:abcdefghijklmnop", "br0"] {
            #expect(throws: LguestError.self) { try NetworkSpecification(tunnet: bad) }
        }
        for bad in ["", "users", "user,", "user,hostfwd=tcp:0:1", "user,hostfwd=tcp:1", "user,mac=1"] {
            #expect(throws: LguestError.self) { try NetworkSpecification(net: bad) }
        }
        #expect(throws: LguestError.self) { try MACAddress(parsing: "01:00:00:00:00:00") }
    }
}

@Suite("Unfinished frames")
struct FrameFinisherTests {
    /// A TCP frame over IPv4 without options, as a driver leaves it.
    private func tcpFrame(payload: [UInt8]) -> [UInt8] {
        var frame = [UInt8](repeating: 2, count: 12) + [8, 0]
        frame += [0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2]
        frame += [0x12, 0x34, 0, 80, 0xFF, 0xFF, 0xFF, 0x00, 0, 0, 0, 1, 0x50, 0x19, 1, 0, 0, 0, 0, 0]
        return frame + payload
    }

    private func offload(size: UInt16, segmentation: UInt8) -> FrameOffload {
        var offload = FrameOffload()
        offload.flags = FrameOffload.needsChecksum
        offload.segmentation = segmentation
        offload.segmentSize = size
        offload.checksumStart = 34
        offload.checksumOffset = 16
        return offload
    }

    @Test(
        "a checksum, also of a long segment, whose length stays", arguments: [3, 1460, 40001],
        [0, 1] as [UInt8])
    func checksum(length: Int, segmentation: UInt8) throws {
        var random = SplitMix64(seed: 3)
        var frame = tcpFrame(payload: random.bytes(length))
        let pseudo = Checksum.sum(frame, 26..<34, from: 6 + UInt64(frame.count - 34))
        frame.setBigEndian16(Checksum.fold(pseudo), at: 50)
        let done = try #require(FrameFinisher.finish(frame, offload(size: 1460, segmentation: segmentation)))
        #expect(done.count == frame.count)
        #expect(Checksum.fold(Checksum.sum(done, 34..<done.count, from: pseudo)) == 0xFFFF)
        frame.replaceSubrange(50..<52, with: done[50..<52])
        #expect(done == frame, "nothing else changes")
    }

    @Test("sums are those of RFC 1071, at any place and of any length")
    func sums() {
        var random = SplitMix64(seed: 4)
        for _ in 0..<2000 {
            let bytes = random.bytes(Int.random(in: 0..<70, using: &random))
            let start = Int.random(in: 0...bytes.count, using: &random)
            let end = Int.random(in: start...bytes.count, using: &random)
            var expected: UInt64 = 7
            for at in stride(from: start, to: end, by: 2) {
                expected += UInt64(bytes[at]) << 8 + (at + 1 < end ? UInt64(bytes[at + 1]) : 0)
            }
            let found = Checksum.sum(bytes, start..<end, from: 7)
            // 0 and 0xFFFF are two names of nothing.
            #expect(Checksum.fold(found) % 0xFFFF == Checksum.fold(expected) % 0xFFFF)
        }
        let ones = [UInt8](repeating: 0xFF, count: 65535)
        #expect(Checksum.fold(Checksum.sum(ones, 0..<65535)) == 0xFF00)
    }

    @Test("nonsense gives nothing, and nothing crashes", arguments: 1...4 as ClosedRange<UInt64>)
    func hostile(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<5000 {
            var frame = tcpFrame(payload: random.bytes(Int.random(in: 0..<300, using: &random)))
            frame = Array(frame.prefix(Int.random(in: 0...frame.count, using: &random)))
            if !frame.isEmpty, Bool.random(using: &random) {
                frame[Int.random(in: 0..<frame.count, using: &random)] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            var offload = FrameOffload(random.bytes(10))
            if Bool.random(using: &random) { offload = self.offload(size: 100, segmentation: 1) }
            offload.checksumStart = random.oneOf([34, 14, 0, 54, 65535], else: 34)
            let done = FrameFinisher.finish(frame, offload)
            #expect(done == nil || done?.count == frame.count)
        }
    }
}

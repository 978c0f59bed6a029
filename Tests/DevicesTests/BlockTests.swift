// SPDX-License-Identifier: Apache-2.0
//
// The disk: what is written is read, errors stay errors, and nothing waits for the host's disk.

import Foundation
import GuestMemory
import Support
import Synchronization
import Testing

@testable import Devices

@Suite("Block")
struct BlockTests {
    private static let flush = VirtioFeatures(bit: 9)

    private func rig(
        _ specification: DiskSpecification, _ kind: TransportKind
    ) throws -> (DeviceRig, BlockDriver) {
        let loop = try EventLoop(clock: SystemClock())
        let disk = try Disk(specification, eventLoop: loop)
        let rig = try DeviceRig(
            VirtioBlock(disk: disk, index: 0), kind, eventLoop: loop,
            features: VirtioFeatures(rawValue: 0x2_6665))
        return (rig, BlockDriver(rig: rig))
    }

    private func rig(_ image: any DiskImage, _ kind: TransportKind) throws -> (DeviceRig, BlockDriver) {
        let loop = try EventLoop(clock: SystemClock())
        let device = VirtioBlock(disk: Disk(image: image, eventLoop: loop), index: 0)
        let rig = try DeviceRig(device, kind, eventLoop: loop)
        return (rig, BlockDriver(rig: rig))
    }

    @Test(
        "mixed random requests, many in flight, leave what they should",
        arguments: TransportKind.allCases, [false, true])
    func integrity(kind: TransportKind, overlay: Bool) throws {
        var random = SplitMix64(seed: 42)
        let original = random.bytes(1 << 20)
        let file = TemporaryFile(original)
        let layer = TemporaryFile()
        var model = original
        let specification = DiskSpecification(
            path: file.path, access: overlay ? .overlay(layer.path) : .readWrite)
        do {
            let (rig, driver) = try rig(specification, kind)
            for round in 0..<150 {
                // Up to 16 requests in ranges of their own, so that their order does not matter.
                let count = Int.random(in: 1...16, using: &random)
                var expected: [UInt16: [UInt8]] = [:]
                for slot in 0..<UInt16(count) {
                    let sectors = Int.random(in: 1...16, using: &random)
                    let sector = Int(slot) * 128 + Int.random(in: 0...112, using: &random)
                    let range = sector * 512..<(sector + sectors) * 512
                    if Bool.random(using: &random) {
                        let data = random.bytes(range.count)
                        model.replaceSubrange(range, with: data)
                        try driver.offer(slot, type: 1, sector: UInt64(sector), out: data)
                    } else {
                        expected[slot] = Array(model[range])
                        try driver.offer(slot, type: 0, sector: UInt64(sector), in: UInt32(range.count))
                    }
                }
                rig.kick(0)
                for _ in 0..<count {
                    let slot = UInt16(try rig.awaitUsed(0).id / 3)
                    let length = UInt32(expected[slot]?.count ?? 0)
                    let result = try driver.result(slot, length: length)
                    #expect(result.status == 0)
                    if let wanted = expected[slot] { #expect(result.data == wanted, "round \(round)") }
                }
            }
            #expect(try driver.perform(type: 4).status == 0)
            #expect((rig.interrupts.raised[1] ?? 0) > 0)
        }
        if overlay {
            #expect(file.bytes == original, "the image stays as it is")
            let (_, driver) = try rig(specification, kind)
            for start in stride(from: 0, to: model.count, by: 32768) {
                #expect(
                    try driver.read(sector: UInt64(start / 512), 32768)
                        == Array(model[start..<start + 32768]))
            }
        } else {
            #expect(file.bytes == model)
        }
    }

    @Test("requests that cannot be carried out get an error", arguments: TransportKind.allCases)
    func errors(kind: TransportKind) throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 10 * 512 + 100))
        let (rig, driver) = try rig(DiskSpecification(path: file.path), kind)
        let sector = [UInt8](repeating: 1, count: 512)
        #expect(try driver.write(sector, sector: 9) == 0)
        #expect(try driver.write(sector, sector: 10) == 1, "behind the last whole sector")
        #expect(try driver.write(sector + sector, sector: 9) == 1)
        #expect(try driver.write(sector, sector: .max) == 1)
        #expect(try driver.perform(type: 0, sector: 10, in: 512).status == 1)
        #expect(try driver.perform(type: 0, sector: 0, in: 511).status == 1, "half a sector")
        #expect(try driver.perform(type: 2, in: 512).status == 2, "SCSI")
        #expect(try driver.perform(type: 77, in: 512).status == 2)
        #expect(!rig.isBroken)
        #expect(file.bytes.count == 10 * 512 + 100)
        #expect(file.bytes.suffix(100).allSatisfy { $0 == 7 }, "the part behind the last sector")
    }

    @Test("serial number, discard and write-zeroes", arguments: TransportKind.allCases)
    func specials(kind: TransportKind) throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 1 << 16))
        let (_, driver) = try rig(DiskSpecification(path: file.path), kind)
        let id = try driver.perform(type: 8, in: 20)
        #expect(id.status == 0)
        #expect(String(decoding: id.data, as: UTF8.self) == "lguest-test-" + file.path.suffix(36).prefix(8))
        func range(_ sector: UInt64, _ count: UInt32, _ flags: UInt32) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 16)
            bytes.setLittleEndian(sector, at: 0, width: 8)
            bytes.setLittleEndian(UInt64(count), at: 8, width: 4)
            bytes.setLittleEndian(UInt64(flags), at: 12, width: 4)
            return bytes
        }
        #expect(try driver.perform(type: 13, out: range(1, 3, 0) + range(16, 8, 1)).status == 0)
        let bytes = file.bytes
        let zero = Set(Array(1..<4) + Array(16..<24))
        for sector in 0..<128 {
            let wanted: UInt8 = zero.contains(sector) ? 0 : 7
            #expect(bytes[sector * 512..<(sector + 1) * 512].allSatisfy { $0 == wanted }, "sector \(sector)")
        }
        #expect(try driver.perform(type: 11, out: range(32, 8, 0)).status == 0)
        #expect(try driver.perform(type: 11, out: range(127, 2, 0)).status == 1)
        #expect(try driver.perform(type: 13, out: range(0, 1, 2)).status == 1, "an unknown flag")
        #expect(try driver.perform(type: 13, out: [1, 2, 3]).status == 1)
    }

    @Test("a read-only image cannot be written", arguments: TransportKind.allCases)
    func readOnly(kind: TransportKind) throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 4096))
        let (_, driver) = try rig(DiskSpecification(path: file.path, access: .readOnly), kind)
        #expect(try driver.write([UInt8](repeating: 1, count: 512), sector: 0) == 1)
        #expect(try driver.read(sector: 0, 512) == [UInt8](repeating: 7, count: 512))
        #expect(file.bytes == [UInt8](repeating: 7, count: 4096))
    }

    @Test("header, data and status in any buffers")
    func anyLayout() throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 4096))
        let (rig, _) = try rig(DiskSpecification(path: file.path), .page)
        let base = DeviceRig.buffers
        try rig.memory.zero(base, count: 64)
        // 10 + 6 bytes of header; 300 bytes of data; then 212 with the status byte.
        try rig.queues[0].describe(0, base, 10, flags: 1, next: 1)
        try rig.queues[0].describe(1, base + 10, 6, flags: 1, next: 2)
        try rig.queues[0].describe(2, base + 0x1000, 300, flags: 3, next: 3)
        try rig.queues[0].describe(3, base + 0x2000, 213, flags: 2)
        try rig.queues[0].offer(0)
        rig.kick(0)
        #expect(try rig.awaitUsed(0).length == 513)
        #expect(
            try rig.memory.readBytes(base + 0x1000, count: 301) == [UInt8](repeating: 7, count: 300) + [0])
        #expect(
            try rig.memory.readBytes(base + 0x2000, count: 213) == [UInt8](repeating: 7, count: 212) + [0])
    }

    @Test("slow requests hold up neither the caller nor each other", arguments: TransportKind.allCases)
    func inFlight(kind: TransportKind) throws {
        let image = GatedImage()
        let (rig, driver) = try rig(image, kind)
        for slot in 0..<UInt16(3) {
            try driver.offer(slot, type: 0, sector: UInt64(slot), in: 512)
        }
        rig.kick(0)
        #expect(try rig.queues[0].takeUsed() == nil, "the kick returns before anything is done")
        image.open(2)
        #expect(try rig.awaitUsed(0).id == 6, "the last one is done first")
        image.open(0)
        #expect(try rig.awaitUsed(0).id == 0)
        image.open(1)
        #expect(try rig.awaitUsed(0).id == 3)
    }

    @Test("a reset waits for what is in flight, and the disk goes on", arguments: TransportKind.allCases)
    func reset(kind: TransportKind) throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 1 << 16))
        let (rig, driver) = try rig(DiskSpecification(path: file.path), kind)
        for slot in 0..<UInt16(8) {
            try driver.offer(slot, type: 1, sector: UInt64(slot), out: [UInt8](repeating: 1, count: 512))
        }
        rig.kick(0)
        try rig.reset()
        #expect(file.bytes.prefix(8 * 512).allSatisfy { $0 == 1 })
        rig.eventLoop.poll()
        try rig.start([])
        #expect(try driver.read(sector: 8, 512) == [UInt8](repeating: 7, count: 512))
    }

    @Test("a disk that fails gives I/O errors, and says so in a few lines")
    func failing() throws {
        let loop = try EventLoop(clock: SystemClock())
        let disk = Disk(image: FailingImage(), eventLoop: loop)
        var warnings: [String] = []
        disk.onWarning = { warnings.append($0) }
        let rig = try DeviceRig(VirtioBlock(disk: disk, index: 0), .pci, eventLoop: loop)
        let driver = BlockDriver(rig: rig)
        for _ in 0..<10 {
            #expect(try driver.write([UInt8](repeating: 1, count: 512), sector: 0) == 1)
        }
        #expect(try driver.perform(type: 4).status == 1)
        #expect(try driver.perform(type: 0, in: 512).status == 1)
        #expect(warnings.count == 3)
        #expect(warnings.first?.contains("No space left") == true)
    }

    @Test("an image that shrinks under a running guest gives I/O errors")
    func shrunken() throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 1 << 16))
        let (_, driver) = try rig(DiskSpecification(path: file.path), .pci)
        truncate(file.path, 4096)
        #expect(try driver.perform(type: 0, sector: 64, in: 512).status == 1)
        #expect(try driver.perform(type: 0, sector: 7, in: 1024).status == 1, "half of it is gone")
        #expect(try driver.read(sector: 7, 512) == [UInt8](repeating: 7, count: 512))
    }

    @Test("barriers of old drivers are carried out")
    func barrier() throws {
        let file = TemporaryFile([UInt8](repeating: 7, count: 1 << 16))
        let (_, driver) = try rig(DiskSpecification(path: file.path), .page)
        let data = [UInt8](repeating: 9, count: 512)
        #expect(try driver.perform(type: 0x8000_0001, sector: 3, out: data).status == 0)
        #expect(try driver.read(sector: 3, 512) == data)
    }
}

/// An image whose sectors can be read one after the other, when the test allows it.
private final class GatedImage: DiskImage {
    let name = "gated"
    let byteCount: UInt64 = 1 << 16
    let isReadOnly = false
    private let opened = Mutex<Set<UInt64>>([])

    func open(_ sector: UInt64) { opened.withLock { _ = $0.insert(sector) } }

    func read(at offset: UInt64, into buffers: HostBuffers) throws(DiskFailure) {
        while !opened.withLock({ $0.contains(offset / 512) }) { usleep(1000) }
    }
    func readAtOnce(at offset: UInt64, into buffers: HostBuffers) -> Bool { false }
    func write(at offset: UInt64, from buffers: HostBuffers) throws(DiskFailure) {}
    func flush() throws(DiskFailure) {}
    func writeZeros(at offset: UInt64, count: UInt64, mayDiscard: Bool) throws(DiskFailure) {}
    func discard(at offset: UInt64, count: UInt64) throws(DiskFailure) {}
}

/// A full host disk.
private final class FailingImage: DiskImage {
    let name = "full"
    let byteCount: UInt64 = 1 << 16
    let isReadOnly = false

    func read(at offset: UInt64, into buffers: HostBuffers) throws(DiskFailure) {
        throw DiskFailure(errno: EIO)
    }
    func readAtOnce(at offset: UInt64, into buffers: HostBuffers) -> Bool { false }
    func write(at offset: UInt64, from buffers: HostBuffers) throws(DiskFailure) {
        throw DiskFailure(errno: ENOSPC)
    }
    func flush() throws(DiskFailure) { throw DiskFailure(errno: ENOSPC) }
    func writeZeros(at offset: UInt64, count: UInt64, mayDiscard: Bool) throws(DiskFailure) {
        throw DiskFailure(errno: ENOSPC)
    }
    func discard(at offset: UInt64, count: UInt64) throws(DiskFailure) {}
}

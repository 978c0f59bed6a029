// SPDX-License-Identifier: Apache-2.0
//
// Any device under either transport, with a driver that has done its start-up: what the tests of the devices
// share.

import Foundation
import GuestMemory
import Support
import Testing

@testable import Devices

/// How a driver reaches its device.
enum TransportKind: CaseIterable, Sendable {
    case pci, page
}

/// RAM, one device, and the driver's end of its queues.
final class DeviceRig {
    static let ramBytes: UInt64 = 4 << 20
    /// RAM that the tests use for buffers: above the rings, below the end.
    static let buffers: UInt64 = 0x10_0000

    let memory: GuestMemory
    let eventLoop: EventLoop
    let interrupts = RecordingInterrupts()
    let kind: TransportKind
    var queues: [FakeQueue] = []
    private(set) var failures: [VirtqueueError] = []

    private let device: any VirtioDevice
    private let bus: VirtioPCIBus
    private let page: DevicePage
    private let driver: FakeDriver

    /// Puts `device` on the bus; the driver accepts those of `features` that are offered.
    init(
        _ device: any VirtioDevice, _ kind: TransportKind, eventLoop: EventLoop, features: VirtioFeatures = []
    ) throws {
        memory = try GuestMemory(bytes: Self.ramBytes, devicePages: DevicePage.pageCount)
        self.eventLoop = eventLoop
        self.kind = kind
        self.device = device
        let (ports, mmio) = (PortBus(), MMIOBus())
        bus = VirtioPCIBus(
            memory: memory, interrupts: interrupts, ports: ports, mmio: mmio, windowBase: memory.ramSize)
        page = DevicePage(memory: memory, interrupts: interrupts, base: memory.ramSize)
        driver = FakeDriver(ports: ports, mmio: mmio, slot: 1)
        let note: (String, VirtqueueError) -> Void = { [weak self] _, error in self?.failures.append(error) }
        switch kind {
        case .pci: try bus.add(device).onFailure = note
        case .page: try page.add(device).onFailure = note
        }
        try start(features)
    }

    /// The driver's start-up, also after a reset.
    func start(_ features: VirtioFeatures) throws {
        queues = []
        switch kind {
        case .pci:
            let accepted = features.union(.version1).rawValue & driver.offered
            try #require(driver.negotiate(accepted))
            for index in device.queueSizes.indices {
                let queue = FakeQueue(
                    memory: memory, size: device.queueSizes[index], at: 0x1_0000 * UInt64(index + 1))
                try memory.zero(queue.descriptors, count: 0x3000)
                driver.setUp(queue: UInt64(index), queue.layout)
                queues.append(queue)
            }
            driver.driverOK()
        case .page:
            // As a driver finds it: the descriptor's own words.
            let base = memory.ramSize
            let count = UInt64(try memory.read(base + 1, as: UInt8.self))
            let offered: UInt32 = try memory.read(base + 5 + 8 * count)
            try memory.write(
                UInt32(truncatingIfNeeded: features.rawValue) & offered, at: base + 9 + 8 * count)
            for index in 0..<count {
                let size: UInt16 = try memory.read(base + 5 + 8 * index)
                let frame: UInt32 = try memory.read(base + 9 + 8 * index)
                queues.append(FakeQueue(memory: memory, size: size, legacyAt: UInt64(frame) << 12))
            }
            try memory.write(UInt8(7), at: base + 4)
        }
    }

    func kick(_ index: Int) {
        switch kind {
        case .pci: driver.kick(UInt64(index))
        case .page: _ = page.notify(queues[index].descriptors)
        }
    }

    /// The driver gives the device up.
    func reset() throws {
        switch kind {
        case .pci: driver.write(0x14, 0, 1)
        case .page:
            try memory.write(UInt8(0), at: memory.ramSize + 4)
            _ = page.notify(memory.ramSize)
        }
    }

    /// Whether the device says that it stands still.
    var isBroken: Bool {
        switch kind {
        case .pci: driver.status & 0x40 != 0
        case .page: ((try? memory.read(memory.ramSize + 4, as: UInt8.self)) ?? 0) & 0x80 != 0
        }
    }

    /// The next used element of queue `index`, waited for while the device works on it.
    func awaitUsed(_ index: Int) throws -> (id: UInt32, length: UInt32) {
        for _ in 0..<5000 {
            if let used = try queues[index].takeUsed() { return used }
            eventLoop.wait(timeoutNanoseconds: 2_000_000)
        }
        throw TestTimeout()
    }
}

struct TestTimeout: Error {}

/// A block driver: requests of three descriptors, several in flight.
struct BlockDriver {
    let rig: DeviceRig

    /// Bytes of buffer space for each request.
    static let stride: UInt64 = 0x1_0000

    private func address(_ slot: UInt16) -> UInt64 { DeviceRig.buffers + UInt64(slot) * Self.stride }

    /// Offers a request in slot 0…31 without telling the device.
    func offer(
        _ slot: UInt16, type: UInt32, sector: UInt64, out data: [UInt8] = [], in length: UInt32 = 0
    ) throws {
        let base = address(slot)
        try rig.memory.write(type, at: base)
        try rig.memory.write(UInt32(0), at: base + 4)
        try rig.memory.write(sector, at: base + 8)
        try rig.memory.write(UInt8(0xEE), at: base + 16)
        try rig.memory.writeBytes(data, at: base + 0x1000)
        let first = slot * 3
        try rig.queues[0].describe(first, base, 16, flags: 1, next: first + 1)
        let isOut = !data.isEmpty
        try rig.queues[0].describe(
            first + 1, base + 0x1000, isOut ? UInt32(data.count) : length, flags: isOut ? 1 : 3,
            next: first + 2)
        try rig.queues[0].describe(first + 2, base + 16, 1, flags: 2)
        try rig.queues[0].offer(first)
    }

    /// Status byte and data of the request in `slot`, once it is done.
    func result(_ slot: UInt16, length: UInt32 = 0) throws -> (status: UInt8, data: [UInt8]) {
        let status: UInt8 = try rig.memory.read(address(slot) + 16)
        return (status, try rig.memory.readBytes(address(slot) + 0x1000, count: Int(length)))
    }

    /// One request from start to end.
    func perform(
        type: UInt32, sector: UInt64 = 0, out data: [UInt8] = [], in length: UInt32 = 0
    ) throws -> (status: UInt8, data: [UInt8]) {
        try offer(0, type: type, sector: sector, out: data, in: length)
        rig.kick(0)
        _ = try rig.awaitUsed(0)
        return try result(0, length: length)
    }

    func write(_ data: [UInt8], sector: UInt64) throws -> UInt8 {
        try perform(type: 1, sector: sector, out: data).status
    }

    func read(sector: UInt64, _ length: UInt32) throws -> [UInt8] {
        let result = try perform(type: 0, sector: sector, in: length)
        try #require(result.status == 0)
        return result.data
    }
}

/// A file in the folder for temporary files, which goes away with this object.
final class TemporaryFile {
    let path = NSTemporaryDirectory() + "/lguest-test-" + UUID().uuidString

    init(_ bytes: [UInt8]? = nil) {
        if let bytes { _ = FileManager.default.createFile(atPath: path, contents: Data(bytes)) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var bytes: [UInt8] { FileManager.default.contents(atPath: path).map(Array.init) ?? [] }
}

extension SplitMix64 {
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

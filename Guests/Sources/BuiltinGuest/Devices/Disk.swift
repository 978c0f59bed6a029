// SPDX-License-Identifier: Apache-2.0
//
// A disk driver that keeps many requests in flight. Each slot has a header, pages for data and a byte for the
// verdict; its descriptors are its own, so that a finished chain names its slot.
import Machine

struct Disk {
    enum Request: UInt32 {
        case read = 0
        case write = 1
        case flush = 4
        case identify = 8
        case discard = 11
        case writeZeroes = 13
        /// What no disk knows.
        case nonsense = 99
    }

    enum Feature {
        static let readOnly: UInt32 = 1 << 5
        static let flush: UInt32 = 1 << 9
        static let discard: UInt32 = 1 << 13
        static let writeZeroes: UInt32 = 1 << 14
        static let all: UInt32 = 0xFFFF_FFFF & ~(1 << 29)
    }

    static let slots: UInt32 = 16
    static let sectorBytes: UInt32 = 512
    /// Sectors in one request at most, eight pages.
    static let mostSectors: UInt32 = 64
    private static let pagesPerSlot: UInt32 = 8
    private static let descriptorsPerSlot: UInt32 = pagesPerSlot + 2

    let link: DeviceLink
    private(set) var ring: Ring
    let features: UInt32
    let sectors: UInt32
    private let headers: PhysicalAddress
    private let data: PhysicalAddress
    /// Bit n: slot n is free.
    private(set) var free: UInt32 = 1 << slots - 1

    /// The number of the disk: 0 for what Linux calls vda.
    init?(number: UInt32, _ way: DeviceWay) {
        guard let link = DeviceLink.find(.disk, number: number, way),
            let features = link.negotiate(Feature.all)
        else { return nil }
        self.link = link
        self.features = features
        sectors = link.configuration32(0)
        ring = link.makeRing(0)
        headers = PageFrames.allocate()
        data = PageFrames.allocateRun(Disk.slots * Disk.pagesPerSlot)
        DeviceInterrupts.use(ring)
        link.start()
    }

    private func header(_ slot: UInt32) -> PhysicalAddress { headers + slot * 64 }
    func buffer(_ slot: UInt32) -> VirtualAddress {
        (data + slot * Disk.pagesPerSlot * PageFrames.bytes).inKernel
    }
    func status(_ slot: UInt32) -> UInt8 { Memory.read8((header(slot) + 48).inKernel) }

    /// Starts a request; the data are in the slot's buffer, or will be. `bytes`: of data.
    mutating func submit(_ slot: UInt32, _ request: Request, sector: UInt32 = 0, bytes: UInt32 = 0) {
        free &= ~(1 << slot)
        let header = header(slot)
        Memory.write32(header, request.rawValue)
        Memory.write32(header + 4, 0)
        Memory.write32(header + 8, sector)
        Memory.write32(header + 12, 0)
        Memory.write8((header + 48).inKernel, 0xEE)
        let toUs = request == .read || request == .identify
        let first = slot * Disk.descriptorsPerSlot
        ring.describe(first, header, 16, flags: Ring.next, next: first + 1)
        var index = first + 1
        var done: UInt32 = 0
        let start = data + slot * Disk.pagesPerSlot * PageFrames.bytes
        while done < bytes {
            let part = min(bytes - done, PageFrames.bytes)
            ring.describe(
                index, start + done, part, flags: Ring.next | (toUs ? Ring.deviceWrites : 0), next: index + 1)
            index += 1
            done += part
        }
        ring.describe(index, header + 48, 1, flags: Ring.deviceWrites)
        ring.offer(first)
    }

    /// Lets the device know.
    func kick() { link.kick(ring) }

    /// A finished slot, or nil while there is none.
    mutating func reap() -> UInt32? {
        guard let done = ring.take() else { return nil }
        let slot = done.head / Disk.descriptorsPerSlot
        free |= 1 << slot
        return slot
    }

    /// Waits for the next finished slot. The guest ends when none comes for a minute.
    mutating func waitForOne() -> UInt32 {
        while true {
            if let slot = reap() { return slot }
            link.acknowledge()
            guard DeviceInterrupts.wait(microseconds: 60_000_000, until: { ring.hasUsed }) else {
                Hypervisor.shutdown("builtin guest: the disk does not answer", .powerOff)
            }
        }
    }

    /// One request from start to end; its verdict (0 good, 1 failed, 2 not known).
    mutating func perform(_ request: Request, sector: UInt32 = 0, bytes: UInt32 = 0) -> UInt8 {
        submit(0, request, sector: sector, bytes: bytes)
        kick()
        let slot = waitForOne()
        return status(slot)
    }

    /// Makes slot 0's buffer a list of one range, as discard and write-zeroes want it.
    func setRange(_ slot: UInt32, sector: UInt32, count: UInt32) {
        let buffer = buffer(slot)
        Memory.write32(buffer, sector)
        Memory.write32(buffer + 4, 0)
        Memory.write32(buffer + 8, count)
        Memory.write32(buffer + 12, 0)
    }
}

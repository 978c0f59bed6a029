// SPDX-License-Identifier: Apache-2.0
//
// `disk check`: random reads, writes, flushes, discards and zeros, up to sixteen at a time, each read compared
// with what must be there; at the end all of the disk, and its sum for the host to compare.
import Machine

struct DiskCheck {
    private struct Slot {
        var request = Disk.Request.flush
        var sector: UInt32 = 0
        var count: UInt32 = 0
    }

    private static let mostTracked: UInt32 = 1 << 18

    private var disk: Disk
    private let contents: DiskContents
    private var random: Random
    private var slots = InlineArray<16, Slot>(repeating: Slot())
    private let versions: VirtualAddress
    private let sectors: UInt32
    private(set) var errors: UInt32 = 0
    private var requests: UInt32 = 0
    private var nextVersion: UInt32 = 1

    init(_ disk: Disk, seed: UInt32) {
        self.disk = disk
        sectors = min(disk.sectors, DiskCheck.mostTracked)
        contents = DiskContents(seed: seed)
        random = Random(seed: seed)
        versions = PageFrames.allocateRun((sectors * 4 + 4095) / 4096).inKernel
    }

    private func version(_ sector: UInt32) -> UInt32 { Memory.read32(versions + sector * 4) }

    mutating func run(rounds: UInt32) {
        for _ in 0..<rounds { step() }
        disk.kick()
        while disk.free != 1 << Disk.slots - 1 { finish(disk.waitForOne()) }
        let flushed = disk.perform(.flush)
        if flushed != 0 { complain("flush", 0, flushed) }
        let sum = sumOfAll()
        say("DISK \(disk.link.name) requests \(requests) errors \(errors) sum \(hex: sum)")
    }

    private mutating func step() {
        if disk.free == 0 { disk.kick() }
        while disk.free == 0 { finish(disk.waitForOne()) }
        let slot = UInt32(truncatingIfNeeded: disk.free.trailingZeroBitCount)
        let count = 1 + random.below(min(Disk.mostSectors, sectors))
        let sector = random.below(sectors - count + 1)
        let kind = random.below(16)
        guard !overlaps(sector, count) else { return }
        start(slot, choose(kind), sector, count)
        // Now and then several are handed over at once.
        if random.below(4) != 0 { disk.kick() }
        while let done = disk.reap() { finish(done) }
    }

    private func choose(_ number: UInt32) -> Disk.Request {
        if disk.features & Disk.Feature.readOnly != 0 { return .read }
        switch number {
        case 0...5: return .read
        case 13: return .flush
        case 14: return disk.features & Disk.Feature.writeZeroes != 0 ? .writeZeroes : .write
        case 15: return disk.features & Disk.Feature.discard != 0 ? .discard : .write
        default: return .write
        }
    }

    private func overlaps(_ sector: UInt32, _ count: UInt32) -> Bool {
        for slot in 0..<Disk.slots where disk.free & 1 << slot == 0 {
            let other = slots[Int(slot)]
            if sector < other.sector + other.count, other.sector < sector + count { return true }
        }
        return false
    }

    private mutating func start(_ slot: UInt32, _ request: Disk.Request, _ sector: UInt32, _ count: UInt32) {
        requests += 1
        slots[Int(slot)] = Slot(request: request, sector: sector, count: request == .flush ? 0 : count)
        var bytes = count * Disk.sectorBytes
        switch request {
        case .write:
            for offset in 0..<count {
                contents.fill(
                    disk.buffer(slot) + offset * Disk.sectorBytes, sector: sector + offset,
                    version: nextVersion)
                Memory.write32(versions + (sector + offset) * 4, nextVersion)
            }
            nextVersion += 1
        case .writeZeroes, .discard:
            disk.setRange(slot, sector: sector, count: count)
            bytes = 16
            let version = request == .discard ? DiskContents.unknown : DiskContents.zeros
            for offset in 0..<count { Memory.write32(versions + (sector + offset) * 4, version) }
        case .flush: bytes = 0
        default: break
        }
        disk.submit(slot, request, sector: bytes == 16 ? 0 : sector, bytes: bytes)
    }

    private mutating func finish(_ slot: UInt32) {
        let job = slots[Int(slot)]
        let status = disk.status(slot)
        if status != 0 { return complain("status", job.sector, status) }
        guard job.request == .read else { return }
        for offset in 0..<job.count
        where !contents.matches(
            disk.buffer(slot) + offset * Disk.sectorBytes, sector: job.sector + offset,
            version: version(job.sector + offset))
        {
            return complain("data", job.sector + offset, 0)
        }
    }

    private mutating func complain(_ what: StaticString, _ sector: UInt32, _ status: UInt8) {
        errors += 1
        if errors <= 5 { say("DISK \(what) wrong at sector \(sector), status \(UInt32(status))") }
    }

    /// Reads the whole disk, compares it and adds it up.
    private mutating func sumOfAll() -> UInt32 {
        var sum = Sum()
        var sector: UInt32 = 0
        while sector < disk.sectors {
            let count = min(Disk.mostSectors, disk.sectors - sector)
            let status = disk.perform(.read, sector: sector, bytes: count * Disk.sectorBytes)
            if status != 0 { complain("last read", sector, status) }
            for offset in 0..<count where sector + offset < sectors {
                let place = disk.buffer(0) + offset * Disk.sectorBytes
                if !contents.matches(place, sector: sector + offset, version: version(sector + offset)) {
                    complain("last data", sector + offset, 0)
                }
            }
            sum.addWords(disk.buffer(0), count: count * Disk.sectorBytes)
            sector += count
        }
        return sum.value
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `disk ACTION pci|page NUMBER …`: the disk driver at work, for people and for the tests of lguest.
import Machine

enum DiskCommands {
    static func run(_ line: Text) {
        var words = Words(line)
        let action = words.next() ?? "info"
        let way = DeviceWay(words.next())
        let number = words.next()?.number ?? 0
        guard var disk = Disk(number: number, way) else {
            say("DISK \(way.name) none")
            return
        }
        let argument = words.next()?.number
        if action == "check" {
            var check = DiskCheck(disk, seed: argument ?? 1)
            check.run(rounds: words.next()?.number ?? 1000)
        } else if action == "journal" {
            journal(&disk, seed: argument ?? 1)
        } else if action == "sum" {
            sum(&disk)
        } else if action == "errors" {
            errors(&disk)
        } else if action == "fill" {
            fill(&disk)
        } else if action == "hostile" {
            HostileDriver.run(disk.link)
        } else if action == "bench" {
            bench(&disk, milliseconds: argument ?? 1000)
        } else {
            let megabytes = disk.sectors >> 11
            say("DISK \(way.name) sectors \(disk.sectors) (\(megabytes) MiB) features \(hex: disk.features)")
        }
        disk.link.reset()
    }

    /// The sum of everything on it.
    private static func sum(_ disk: inout Disk) {
        var sum = Sum()
        var sector: UInt32 = 0
        while sector < disk.sectors {
            let count = min(Disk.mostSectors, disk.sectors - sector)
            let status = disk.perform(.read, sector: sector, bytes: count * Disk.sectorBytes)
            guard status == 0 else {
                say("DISK read failed at \(sector), status \(UInt32(status))")
                return
            }
            sum.addWords(disk.buffer(0), count: count * Disk.sectorBytes)
            sector += count
        }
        say("DISK sum \(hex: sum.value)")
    }

    /// Eight writes in parallel, a flush, a line that says so, and again without end: for whoever pulls the plug.
    /// Write number n (from 1) of a round goes somewhere into the n-th eighth of the disk.
    private static func journal(_ disk: inout Disk, seed: UInt32) {
        let contents = DiskContents(seed: seed)
        var random = Random(seed: seed)
        var version: UInt32 = 1
        var round: UInt32 = 0
        let region = disk.sectors / 8
        while true {
            for slot in 0..<UInt32(8) {
                let count = 1 + random.below(min(16, region))
                let sector = slot * region + random.below(region - count + 1)
                for offset in 0..<count {
                    contents.fill(
                        disk.buffer(slot) + offset * Disk.sectorBytes, sector: sector + offset,
                        version: version)
                }
                version += 1
                disk.submit(slot, .write, sector: sector, bytes: count * Disk.sectorBytes)
            }
            disk.kick()
            for _ in 0..<8 {
                let slot = disk.waitForOne()
                if disk.status(slot) != 0 { say("DISK write failed") }
            }
            if disk.perform(.flush) != 0 { say("DISK flush failed") }
            round += 1
            say("FLUSHED \(round) .")
            Console.flush()
        }
    }

    /// What must not work, and how the disk says so.
    private static func errors(_ disk: inout Disk) {
        let past = disk.perform(.read, sector: disk.sectors, bytes: 512)
        let across = disk.perform(.write, sector: disk.sectors - 1, bytes: 1024)
        let unknown = disk.perform(.nonsense)
        let odd = disk.perform(.read, sector: 0, bytes: 100)
        let first: Text =
            "read-past \(UInt32(past)) write-across \(UInt32(across)) unknown \(UInt32(unknown))"
        let write = disk.perform(.write, sector: 0, bytes: 512)
        say("DISK \(first) odd \(UInt32(odd)) write \(UInt32(write))")
        let identified = disk.perform(.identify, bytes: 20)
        var name = Text()
        for offset in 0..<UInt32(20) {
            let byte = Memory.read8(disk.buffer(0) + offset)
            if byte != 0 { name.append(byte) }
        }
        say("DISK id \(name) status \(UInt32(identified))")
    }

    /// Writes to all of it, and counts what fails.
    private static func fill(_ disk: inout Disk) {
        var failed: UInt32 = 0
        var done: UInt32 = 0
        var sector: UInt32 = 0
        while sector + Disk.mostSectors <= disk.sectors {
            let status = disk.perform(.write, sector: sector, bytes: Disk.mostSectors * Disk.sectorBytes)
            if status == 0 { done += 1 } else { failed += 1 }
            sector += Disk.mostSectors
        }
        say("DISK fill done \(done) failed \(failed)")
    }

    private static func bench(_ disk: inout Disk, milliseconds: UInt32) {
        measure("random 4 KiB reads", &disk, milliseconds, sectors: 8, random: true)
        measure("sequential 32 KiB reads", &disk, milliseconds, sectors: 64, random: false)
    }

    private static func measure(
        _ name: StaticString, _ disk: inout Disk, _ milliseconds: UInt32, sectors: UInt32, random: Bool
    ) {
        var numbers = Random(seed: 7)
        let places = disk.sectors / sectors
        var count: UInt32 = 0
        var failed: UInt32 = 0
        let start = Timer.now
        let end = start + Timer.ticks(microseconds: UInt64(milliseconds) * 1000)
        while Timer.now < end {
            for slot in 0..<UInt32(8) {
                let place = random ? numbers.below(places) : (count + slot) % places
                disk.submit(slot, .read, sector: place * sectors, bytes: sectors * Disk.sectorBytes)
            }
            disk.kick()
            for _ in 0..<8 {
                let slot = disk.waitForOne()
                if disk.status(slot) != 0 { failed += 1 }
            }
            count += 8
        }
        let time = max(Timer.microseconds(Timer.now - start), 1)
        let rate = UInt64(count) * 1_000_000 / time
        let megabytes = UInt64(count) * UInt64(sectors) * 512 / time
        say("DISK \(name): \(rate)/s, \(megabytes) MB/s, \(failed) failed")
    }
}

/// The words of a line, one after the other.
struct Words {
    private let line: Text
    private var position = 0

    init(_ line: Text) { self.line = line }

    mutating func next() -> Text? {
        while position < line.count, line[position] == 0x20 { position += 1 }
        guard position < line.count else { return nil }
        let start = position
        while position < line.count, line[position] != 0x20 { position += 1 }
        return line.part(from: start, to: position)
    }
}

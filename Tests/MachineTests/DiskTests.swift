// SPDX-License-Identifier: Apache-2.0
//
// Disks under the built-in guest's own driver, over both transports: mixed requests with a sum at the end, lguest
// killed between flushes, a full host disk, drivers that break the rules.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite("Disks under a guest", .serialized, .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct DiskTests {
    static let ways = ["pci", "page"]
    private static let noProgram: Comment = "no LGUEST_BINARY: run `make build` first"

    /// Runs `run=…` to the end of the guest and gives what it printed.
    private func run(
        _ command: String, _ disks: [DiskSpecification], engine: EngineChoice = .interpreter
    ) throws -> String {
        let guest = try TestMachine(
            kernel: BuiltinGuestFile.path, commandLine: "run=" + command, engine: engine, limitSeconds: 300
        ) { $0.disks = disks }
        #expect(guest.run() == .powerOff)
        return guest.text
    }

    @Test(
        "mixed random requests, many in flight, and the sum of the whole disk at the end", arguments: ways,
        [DiskSpecification.Access.readWrite, .overlay(nil), .overlay("file"), .readOnly])
    func mixed(way: String, access: DiskSpecification.Access) throws {
        for (engine, seed) in [(EngineChoice.interpreter, UInt32(11)), (.translator, 12)] {
            let sectors: UInt32 = 4096 + 3
            // An odd size: the last part of a sector is out of reach.
            let image = ScratchFile(GuestDisk.fresh(sectors: sectors, seed: seed) + Data([1, 2, 3]))
            let original = image.bytes
            let layer = ScratchFile(size: nil)
            let access = access == .overlay("file") ? .overlay(layer.path) : access
            let text = try run(
                "disk check \(way) 0 \(seed) 3000", [DiskSpecification(path: image.path, access: access)],
                engine: engine)
            let line = try #require(text.split(separator: "\n").last { $0.hasPrefix("DISK ") })
            #expect(line.contains(" errors 0 "), "\(text)")
            let disk: [UInt8]
            switch access {
            case .readWrite: disk = image.bytes
            case .overlay(_?): disk = GuestDisk.merged(image: original, overlay: layer.bytes)
            default: disk = []
            }
            if access != .readWrite { #expect(image.bytes == original) }
            if access == .readOnly { #expect(line.hasSuffix("sum " + GuestDisk.sum(original)), "\(line)") }
            if !disk.isEmpty {
                #expect(
                    line.hasSuffix("sum " + GuestDisk.sum(Array(disk.prefix(Int(sectors) * 512)))), "\(line)")
            }
        }
    }

    @Test("what is not possible is said, and the disk's name", arguments: ways)
    func errors(way: String) throws {
        let image = ScratchFile(Data(repeating: 7, count: 20000))
        let text = try run("disk errors \(way) 0", [DiskSpecification(path: image.path)])
        #expect(text.contains("DISK read-past 1 write-across 1 unknown 2 odd 1 write 0"), "\(text)")
        #expect(text.contains("DISK id lguest-scratch-"), "\(text)")
        let readOnly = try run(
            "disk errors \(way) 0", [DiskSpecification(path: image.path, access: .readOnly)])
        #expect(readOnly.contains(" write 1"), "\(readOnly)")
    }

    @Test("several disks, each its own", arguments: ways)
    func several(way: String) throws {
        let images = (1...3).map { ScratchFile(Data(repeating: UInt8($0), count: 4096 * $0)) }
        let text = try run(
            (0..<3).map { "disk sum \(way) \($0)" }.joined(separator: "; "),
            images.map { DiskSpecification(path: $0.path) })
        let sums = text.split(separator: "\n").filter { $0.hasPrefix("DISK sum ") }.map(String.init)
        #expect(sums == images.map { "DISK sum " + GuestDisk.sum($0.bytes) })
    }

    @Test("drivers that break the rules are found out, and a reset brings the disk back", arguments: ways)
    func hostile(way: String) throws {
        let image = ScratchFile(GuestDisk.fresh(sectors: 64, seed: 1))
        let text = try run(
            "disk hostile \(way) 0; disk check \(way) 0 1 50", [DiskSpecification(path: image.path)])
        let lines = text.split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("HOSTILE ") && $0.hasSuffix(" broken") }.count == 10, "\(text)")
        #expect(lines.contains("HOSTILE reset well"))
        #expect(text.contains(" errors 0 "), "\(text)")
    }

    /// Kills lguest somewhere in its writing, again and again on the same files, and looks what is on the disk.
    @Test(
        "what was flushed survives kill -9, 100 times", .enabled(if: RunningProgram.path != nil, noProgram),
        arguments: ways, [false, true])
    func killed(way: String, overlay: Bool) throws {
        let program = try #require(RunningProgram.path)
        let sectors: UInt32 = 2048
        for seed in UInt32(1)...25 {
            let image = ScratchFile(GuestDisk.fresh(sectors: sectors, seed: seed))
            let layer = ScratchFile(size: nil)
            let block = "--block=" + image.path + (overlay ? ",overlay=" + layer.path : "")
            let guest = try RunningProgram(
                program,
                ["--timeout=60", block, "16m", BuiltinGuestFile.path, "run=disk journal \(way) 0 \(seed)"])
            try #require(guest.wait(for: "FLUSHED \(UInt32.random(in: 1...40)) ."), "\(guest.text)")
            usleep(.random(in: 0...3000))
            guest.kill()
            let said = guest.text.components(separatedBy: "FLUSHED ").dropFirst().filter { $0.contains(" .") }
            let flushed = try #require(said.last.flatMap { Int($0.prefix { $0.isNumber }) })
            let disk = overlay ? GuestDisk.merged(image: image.bytes, overlay: layer.bytes) : image.bytes
            for (number, versions) in GuestDisk.journal(sectors: sectors, seed: seed, flushed: flushed)
                .enumerated()
            {
                let found = disk[number * 512..<(number + 1) * 512]
                let isRight = versions.contains {
                    found.elementsEqual(GuestDisk.contents(UInt32(number), version: $0, seed: seed))
                }
                #expect(
                    isRight, "seed \(seed): sector \(number) after \(flushed) flushes, allowed \(versions)")
            }
        }
    }

    @Test("a full host disk gives I/O errors, and what is there stays", arguments: ways, [false, true])
    func full(way: String, overlay: Bool) throws {
        let program = try #require(RunningProgram.path)
        guard HostTool.path("unshare") != nil, HostTool.path("mount") != nil else {
            try Test.cancel("no unshare or mount on this host")
        }
        // The disk of 4 MiB, or its overlay, is on a file system of 2 MiB.
        let image = overlay ? "$W/large/i" : "$W/small/i"
        let block = "--block=\"\(image)\"" + (overlay ? ",overlay=\"$W/small/o\"" : "")
        let script = """
            W=$(mktemp -d); mkdir $W/small $W/large
            mount -t tmpfs -o size=2m tmpfs $W/small && mount -t tmpfs tmpfs $W/large || { rm -rf $W; exit 77; }
            truncate -s 4M "\(image)"
            "\(program)" --timeout=100 \(block) 32m "$G" 'run=disk fill \(way) 0; disk info \(way) 0'
            status=$?; umount $W/small $W/large; rm -rf $W; exit $status
            """
        let guest = FileManager.default.currentDirectoryPath + "/" + BuiltinGuestFile.path
        let path = BuiltinGuestFile.path.hasPrefix("/") ? BuiltinGuestFile.path : guest
        let ended = try RunningProgram(
            "/usr/bin/unshare", ["--mount", "--map-root-user", "/bin/sh", "-c", "G='\(path)'\n" + script])
        let status = ended.waitUntilEnd()
        if status == 77 || ended.text.contains("unshare failed") {
            try Test.cancel("no mount namespaces for us")
        }
        #expect(status == 0, "\(ended.text)")
        let line = try #require(ended.text.split(separator: "\n").first { $0.hasPrefix("DISK fill ") })
        let words = line.split(separator: " ").compactMap { Int($0) }
        #expect(words.count == 2 && words[0] > 10 && words[1] > 10 && words[0] + words[1] == 128, "\(line)")
        #expect(ended.text.contains("No space left on device; the guest sees an I/O error"), "\(ended.text)")
        #expect(ended.text.contains("sectors 8192"), "\(ended.text)")
    }

    @Test("random numbers and the balloon", arguments: ways)
    func small(way: String) throws {
        let guest = try TestMachine(
            kernel: BuiltinGuestFile.path, commandLine: "run=rng \(way); balloon \(way)"
        ) {
            $0.hasRandom = true
            $0.balloonBytes = 16 << 20
        }
        #expect(guest.run() == .powerOff)
        let words = guest.text.components(separatedBy: "ones ").last?.prefix { $0.isNumber }
        // 8192 coins: 4096 heads, give or take ten standard deviations.
        #expect((3644...4548).contains(Int(words ?? "") ?? 0), "\(guest.text)")
        #expect(guest.text.contains("RNG \(way) bytes 1024 "), "\(guest.text)")
        #expect(
            guest.text.contains("BALLOON \(way) wanted 4096 lent 4096 seen 4096 then 0x0"), "\(guest.text)")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Linux's own drivers against our devices: a disk with a file system, the network without privileges, and
// lguest killed in the middle of writing. Kernels and tools that are not there are skipped by name.

import Foundation
import LguestKit
import TestSupport
import Testing

/// A file that goes away with this object.
private final class ScratchFile {
    let path = NSTemporaryDirectory() + "/lguest-scratch-" + UUID().uuidString

    /// - Parameter size: bytes, all zero; nil for no file yet.
    init(size: Int?) {
        if let size { _ = FileManager.default.createFile(atPath: path, contents: Data(count: size)) }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Runs a host tool; false when it fails, nil when it is not there.
private func run(_ tool: String, _ arguments: [String]) throws -> Bool? {
    let folders = ["/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"]
    guard let path = folders.map({ $0 + tool }).first(where: FileManager.default.isExecutableFile) else {
        return nil
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus == 0
}

/// What a host tool prints.
private func output(of path: String, _ arguments: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardOutput = output
    try process.run()
    defer { process.waitUntilExit() }
    return String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
}

private let prologue = """
    #!/bin/sh
    export PATH=/bin
    export b=/bin/busybox
    mount -t proc proc /proc
    mount -t devtmpfs dev /dev 2>/dev/null
    mount -t tmpfs tmp /tmp
    dmesg -n 1

    """

@Suite("Linux and its devices", .serialized)
struct LinuxDeviceTests {
    /// One kernel of each series; in the long tests all of them.
    private static let kernels: [InventoryKernel] = {
        let all = KernelInventory.all.filter { $0.runsBusybox && !$0.isCompressed }
        if ProcessInfo.processInfo.environment["LGUEST_LONG_TESTS"] != nil { return all }
        var series: Set<String> = []
        return all.filter { kernel in
            guard let version = kernel.version, !kernel.name.contains("debug") else { return false }
            return series.insert("\(version.major).\(version.minor)").inserted
        }
    }()

    private func initrd(_ script: String) throws -> [UInt8] {
        guard let initrd = Initramfs.withScript(prologue + script) else {
            try Test.cancel("no static i386 busybox in the cache")
        }
        return initrd
    }

    @Test("a file system keeps its files over a remount", arguments: kernels, [false, true])
    func fileSystem(kernel: InventoryKernel, overlay: Bool) throws {
        let image = ScratchFile(size: 16 << 20)
        guard let made = try run("mke2fs", ["-q", "-t", "ext2", "-F", image.path]) else {
            try Test.cancel("no mke2fs on this host")
        }
        try #require(made)
        let before = FileManager.default.contents(atPath: image.path)
        let script = """
            $b mount -t ext2 /dev/vda /tmp || echo "CHECK mount BAD"
            $b head -c 3000000 /dev/urandom > /tmp/a; seq 30000 > /tmp/b
            $b md5sum /tmp/a /tmp/b > /sums; sync 2>/dev/null || $b sync
            $b umount /tmp; echo 3 > /proc/sys/vm/drop_caches
            $b mount -t ext2 /dev/vda /tmp
            $b md5sum -c /sums && echo "CHECK sums ok"
            $b umount /tmp; $b head -c 8 /dev/hwrng | wc -c
            echo "DISKS $($b grep -c 'vd[ab]$' /proc/partitions)"
            poweroff -f
            """
        let guest = try TestMachine(
            kernel: kernel.path, initrd: try initrd(script), commandLine: "console=hvc0", limitSeconds: 120
        ) { configuration in
            configuration.disks = [
                DiskSpecification(path: image.path, access: overlay ? .overlay(nil) : .readWrite),
                DiskSpecification(path: kernel.path, access: .readOnly),
            ]
            configuration.hasRandom = true
        }
        #expect(guest.run() == .powerOff)
        #expect(guest.text.contains("CHECK sums ok"), "\(guest.text.suffix(2000))")
        #expect(!guest.text.contains("BAD"))
        #expect(guest.text.contains("DISKS 2"))
        let after = FileManager.default.contents(atPath: image.path)
        if overlay {
            #expect(after == before)
        } else {
            #expect(try run("e2fsck", ["-fn", image.path]) != false)
        }
    }

    @Test("8 MiB through a forwarded port arrive as they were sent", arguments: kernels)
    func forwardedPort(kernel: InventoryKernel) throws {
        let port = UInt16.random(in: 20000...60000)
        let guest = try TestMachine(
            kernel: kernel.path,
            initrd: try initrd(
                "$b nc -l -p 7777 -e $b sh -c '$b md5sum > /tmp/sum'; cat /tmp/sum; poweroff -f\n"),
            memory: 96,
            commandLine: "console=hvc0 ip=dhcp", limitSeconds: 120
        ) { $0.networks = [NetworkSpecification(.user, forwards: [.init(hostPort: port, guestPort: 7777)])] }
        var random = SystemRandomNumberGenerator()
        let data = Data(
            (0..<1 << 20).flatMap { _ in
                withUnsafeBytes(of: random.next() as UInt64) { Array($0) }
            })
        let file = ScratchFile(size: nil)
        _ = FileManager.default.createFile(atPath: file.path, contents: data)
        // bash's /dev/tcp is a client that every host has.
        let client = Process()
        client.executableURL = URL(fileURLWithPath: "/bin/bash")
        client.arguments = [
            "-c",
            """
            for try in $(seq 60); do
                if exec 3<>/dev/tcp/127.0.0.1/\(port); then
                    { cat "\(file.path)" >&3 && exit; } 2>/dev/null
                fi
                sleep 1
            done
            """,
        ]
        client.standardError = FileHandle.nullDevice
        try client.run()
        let outcome = guest.run()
        client.terminate()
        #expect(outcome == .powerOff)
        let sum = try #require(try output(of: "/usr/bin/md5sum", [file.path]).split(separator: " ").first)
        #expect(guest.text.contains(sum), "\(guest.text.suffix(1000))")
    }

    @Test("what was flushed survives kill -9", arguments: [false, true])
    func killed(overlay: Bool) throws {
        guard let binary = ProcessInfo.processInfo.environment["LGUEST_BINARY"],
            let kernel = KernelInventory.vmlinux(4, 0...13) ?? KernelInventory.vmlinux(3, 2...19)
        else { try Test.cancel("no LGUEST_BINARY or no 3.x or 4.x kernel") }
        let script = """
            i=0
            while true; do
                $b printf '%4096d' $i | $b dd of=/dev/vda bs=4096 seek=$i conv=notrunc,fsync 2>/dev/null
                i=$((i+1)); echo "WROTE $i ."
            done
            """
        let initrdFile = ScratchFile(size: nil)
        _ = FileManager.default.createFile(atPath: initrdFile.path, contents: Data(try initrd(script)))
        let isLong = ProcessInfo.processInfo.environment["LGUEST_LONG_TESTS"] != nil
        for _ in 0..<(isLong ? 50 : 3) {
            let image = ScratchFile(size: 16 << 20)
            let layer = ScratchFile(size: nil)
            let block = "--block=" + image.path + (overlay ? ",overlay=\(layer.path)" : "")
            let flushed = try killWhileWriting(
                binary,
                ["64m", kernel.path, "--initrd=" + initrdFile.path, "console=hvc0", block],
                after: Int.random(in: 1...200))
            let disk = try Disk.bytes(of: image.path, overlay: overlay ? layer.path : nil)
            for index in 0..<flushed {
                let text = String(repeating: " ", count: 4096 - String(index).count) + String(index)
                #expect(disk[index * 4096..<(index + 1) * 4096].elementsEqual(text.utf8), "block \(index)")
            }
        }
    }

    /// Runs lguest until it has said that `count` blocks are flushed, and kills it. Gives the number it had
    /// said by then.
    private func killWhileWriting(_ binary: String, _ arguments: [String], after count: Int) throws -> Int {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: binary)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer { process.waitUntilExit() }
        var text = ""
        while true {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { throw GuestEnded(text: text) }
            text += String(decoding: data, as: UTF8.self)
            let said = text.components(separatedBy: "WROTE ").last?.prefix { $0.isNumber }
            if let said, let number = Int(said), text.contains("WROTE \(number) ."), number >= count {
                kill(process.processIdentifier, SIGKILL)
                return number
            }
        }
    }
}

private struct GuestEnded: Error { let text: String }

extension Disk {
    /// What a guest would read.
    fileprivate static func bytes(of path: String, overlay: String?) throws -> [UInt8] {
        guard let overlay else { return FileManager.default.contents(atPath: path).map(Array.init) ?? [] }
        var bytes = FileManager.default.contents(atPath: path).map(Array.init) ?? []
        // Header page, bitmap of one page for up to 128 MiB, then the clusters.
        let layer = FileManager.default.contents(atPath: overlay).map(Array.init) ?? []
        for cluster in 0..<bytes.count / 4096 where layer[4096 + cluster / 8] & 1 << (cluster % 8) != 0 {
            let start = 8192 + cluster * 4096
            bytes.replaceSubrange(cluster * 4096..<(cluster + 1) * 4096, with: layer[start..<start + 4096])
        }
        return bytes
    }
}

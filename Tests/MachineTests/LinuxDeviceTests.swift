// SPDX-License-Identifier: Apache-2.0
//
// Linux's own drivers against our devices, on a kernel of each series from 2.6.24 on: a disk with a file system, both
// kinds of network, restart, and lguest killed in the middle of writing. What is not there is skipped by name.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite("Linux and its devices", .serialized)
struct LinuxDeviceTests {
    /// One kernel of each series; in the long tests all of them. 2.6.23 has devices of its own.
    private static let kernels: [InventoryKernel] = {
        let all = KernelInventory.all.filter { kernel in
            guard let version = kernel.version, !kernel.isCompressed else { return false }
            return (version.major, version.minor, version.patch) >= (2, 6, 24)
        }
        if ProcessInfo.processInfo.environment["LGUEST_LONG_TESTS"] != nil { return all }
        var series: Set<String> = []
        return all.sorted { $0.name.count < $1.name.count }.filter { kernel in
            guard let version = kernel.version else { return false }
            return series.insert(
                version.release.split(separator: ".").prefix(version.major == 2 ? 3 : 2)
                    .joined(separator: ".")
            ).inserted
        }
    }()
    private static let terminals = kernels.filter { $0.version?.major == 4 }
    private static let networked = kernels.filter { kernel in
        if !kernel.hasNetwork { print("skipped: networks of \(kernel.name): it has no driver for them") }
        return kernel.hasNetwork
    }
    private static let noNetwork: Comment = "no vmlinux with virtio_net in \(KernelInventory.folder)"
    private static let none: Comment = "no vmlinux from 2.6.24 on in \(KernelInventory.folder)"
    private static let noProgram: Comment = "no LGUEST_BINARY: run `make build` first"

    private func initrd(_ script: String) throws -> [UInt8] {
        guard let initrd = Initramfs.withTool(script) else {
            try Test.cancel("no linux-init: run `make guest`")
        }
        return initrd
    }

    private func guest(
        _ kernel: InventoryKernel, _ script: String, memory: UInt64 = 64,
        devices: (inout MachineConfiguration) throws -> Void
    ) throws -> TestMachine {
        try TestMachine(
            kernel: kernel.path, initrd: try initrd(script), memory: memory, commandLine: "console=hvc0",
            engine: .translator, limitSeconds: 300, devices: devices)
    }

    @Test(
        "a file system keeps its files over a remount", .enabled(if: !kernels.isEmpty, none),
        arguments: kernels,
        [false, true])
    func fileSystem(kernel: InventoryKernel, overlay: Bool) throws {
        let image = ScratchFile(size: 16 << 20)
        // What ext2 was when the oldest of these kernels were new.
        guard let made = try HostTool.run("mke2fs", ["-q", "-t", "ext2", "-I", "128", "-F", image.path])
        else {
            try Test.cancel("no mke2fs on this host")
        }
        try #require(made.status == 0, "\(made.text)")
        let before = image.bytes
        let script = """
            node vda
            node vdb
            mount ext2 /dev/vda /mnt
            write /mnt/a 3000001 1
            write /mnt/b 777 2
            verify /mnt/a 3000001 1
            umount /mnt
            put /proc/sys/vm/drop_caches 3
            mount ext2 /dev/vda /mnt
            verify /mnt/a 3000001 1
            verify /mnt/b 777 2
            umount /mnt
            read-all /dev/vdb 1
            random /dev/hwrng 512
            poweroff
            """
        let guest = try guest(kernel, script) { configuration in
            configuration.disks = [
                DiskSpecification(path: image.path, access: overlay ? .overlay(nil) : .readWrite),
                DiskSpecification(path: kernel.path, access: .readOnly),
            ]
            configuration.hasRandom = true
        }
        #expect(guest.run() == .powerOff)
        let lines = guest.text.split(separator: "\n")
        // A kernel without the driver has the node, but nothing behind it (ENODEV).
        let lacksRandom = guest.text.contains("FAILED random 19")
        if lacksRandom { print("skipped: random numbers of \(kernel.name): it has no driver for them") }
        #expect(lines.filter { $0.hasPrefix("VERIFIED /mnt/") }.count == 3, "\(guest.text.suffix(2000))")
        #expect(
            !lines.contains {
                $0.hasPrefix("FAILED ") && !$0.contains("drop_caches")
                    && !($0.contains("random") && lacksRandom)
            },
            "\(guest.text.suffix(2000))")
        #expect(guest.text.contains("NODE /dev/vdb"))
        #expect(guest.text.contains("READ bytes 1048576"))
        #expect(guest.text.contains("RANDOM 512 ones ") || lacksRandom)
        if overlay {
            #expect(image.bytes == before)
        } else {
            #expect(try HostTool.run("e2fsck", ["-fn", image.path])?.status ?? 0 == 0)
        }
    }

    @Test(
        "a file over the user-mode network", .enabled(if: !networked.isEmpty, noNetwork), arguments: networked
    )
    func userNetwork(kernel: InventoryKernel) throws {
        let server = try #require(PatternServer())
        defer { server.end() }
        let count = 8 << 20
        let guest = try guest(
            kernel,
            """
            up eth0 10.0.2.15 255.255.255.0 10.0.2.2
            fetch 10.0.2.2 \(server.port) \(count)
            show /proc/net/netstat
            show /proc/net/dev
            poweroff
            """
        ) { $0.networks = [NetworkSpecification(.user)] }
        #expect(guest.run() == .powerOff)
        #expect(
            guest.text.contains("SUM \(PatternServer.sum(bytes: count)) FETCHED"),
            "\(guest.text.suffix(1000))")
        guard kernel.takesLongSegments else { return }
        // What a small guest cannot keep of many short frames it loses, and waits for.
        #expect(counter("TCPBacklogDrop", guest.text) ?? 0 == 0)
        let received = guest.text.components(separatedBy: "eth0:").last?.split(separator: " ")
        let frames = try #require(
            received?.dropFirst().first.flatMap { Int($0) }, "\(guest.text.suffix(1000))")
        #expect(frames < count / 1460 / 3, "long segments: the stack makes \(count / 1460) short ones")
    }

    /// A counter of /proc/net/netstat: a line of names, and one of numbers.
    private func counter(_ name: String, _ text: String) -> Int? {
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("TcpExt:") }
            .map { $0.split(whereSeparator: \.isWhitespace) }
        guard lines.count == 2, let index = lines[0].firstIndex(where: { $0 == name }) else { return nil }
        return lines[1].indices.contains(index) ? Int(lines[1][index]) : nil
    }

    @Test(
        "a file over TAP in a network namespace, the other way too",
        .enabled(if: !networked.isEmpty, noNetwork),
        .enabled(if: RunningProgram.path != nil, noProgram), arguments: networked)
    func tap(kernel: InventoryKernel) throws {
        if let reason = HostTool.noTAP { try Test.cancel("\(reason)") }
        let image = ScratchFile(
            Data(try initrd("up eth0 192.168.19.2 255.255.255.0\nserve 9 8000000\npoweroff\n")))
        // Sends twenty megabytes, then reads what comes back.
        let client = """
            use strict; use IO::Socket::INET; my $s; alarm 120;
            for (1..200) { $s = IO::Socket::INET->new(PeerAddr => "192.168.19.2", PeerPort => 9); last if $s;
              select(undef, undef, undef, 0.2); }
            die "no connection" unless $s; my $block = join("", map { chr(($_ * 7919) >> 5 & 255) } 0..65535);
            for (1..320) { die "short" unless syswrite($s, $block) == 65536; }
            shutdown($s, 1); my ($got, $b) = (0); while (my $n = sysread($s, $b, 65536)) { $got += $n }
            print "GOT $got\\n";
            """
        let program = URL(fileURLWithPath: try #require(RunningProgram.path)).path
        let script = """
            ip link set lo up
            "\(program)" --timeout=300 --engine=translator --tunnet=192.168.19.1 --initrd="\(image.path)" \
                64m "\(kernel.path)" console=hvc0 2>&1 &
            for i in $(seq 100); do ip addr show tap0 2>/dev/null | grep -q 192.168.19.1 && break; sleep 0.1; done
            perl -e '\(client)'
            wait
            """
        let unshare = try #require(HostTool.path("unshare"))
        let run = try RunningProgram(unshare, ["--net", "--map-root-user", "/bin/sh", "-c", script])
        run.waitUntilEnd()
        let block = (0..<65536).map { UInt8(truncatingIfNeeded: ($0 * 7919) >> 5) }
        let sum = (0..<320).reduce(UInt32(0x811C_9DC5)) { hash, _ in GuestServices.sum(block, from: hash) }
        #expect(run.text.contains("SUM \(sum) RECEIVED bytes 20971520"), "\(run.text.suffix(1000))")
        #expect(run.text.contains("GOT 8000000"), "\(run.text.suffix(1000))")
    }

    @Test("a restart asks for one", .enabled(if: !kernels.isEmpty, none), arguments: kernels)
    func restart(kernel: InventoryKernel) throws {
        let guest = try guest(kernel, "say HERE\nreboot\n") { _ in }
        #expect(guest.run() == .restart, "\(guest.text.suffix(1000))")
        #expect(guest.text.contains("HERE"))
    }

    @Test(
        "pages lent to the host come back when the guest needs them", arguments: kernels.filter(\.runsBusybox)
    )
    func balloon(kernel: InventoryKernel) throws {
        let guest = try guest(kernel, "sleep 2\nfree\npoweroff\n") { $0.balloonBytes = 24 << 20 }
        #expect(guest.run() == .powerOff)
        let free = guest.text.components(separatedBy: "FREE ").dropFirst().compactMap {
            Int($0.prefix { $0.isNumber })
        }
        let pages = guest.text
        // 64 MiB less the kernel and 24 MiB: without a balloon there would be more than 45.
        #expect((free.last ?? 0) > 1000 && (free.last ?? .max) < 45000, "\(pages.suffix(500))")
    }

    @Test(
        "the window's size reaches the guest, and its changes",
        .enabled(if: RunningProgram.path != nil, noProgram),
        .enabled(if: !terminals.isEmpty, "no vmlinux of Linux 4.0 to 4.13"), arguments: terminals)
    func window(kernel: InventoryKernel) throws {
        let terminal = try #require(PseudoTerminal(columns: 100, rows: 40))
        let isTold = kernel.version?.survivesConsoleChanges == true
        let image = ScratchFile(Data(try initrd((isTold ? "winsize 2" : "sleep 1") + "\npoweroff\n")))
        let process = try terminal.run(
            try #require(RunningProgram.path),
            ["--timeout=60", "--initrd=" + image.path, "32m", kernel.path, "console=hvc0", "quiet"])
        if isTold {
            #expect(terminal.wait(for: "WINDOW 100 40"), "\(terminal.text)")
            terminal.resize(columns: 132, rows: 50)
            kill(process.processIdentifier, SIGWINCH)
            #expect(terminal.wait(for: "WINDOW 132 50"), "\(terminal.text)")
        }
        terminal.drain()
        #expect(!terminal.text.contains("Oops"), "\(terminal.text)")
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test(
        "what was flushed survives kill -9", .enabled(if: RunningProgram.path != nil, noProgram),
        arguments: [false, true])
    func killed(overlay: Bool) throws {
        guard let kernel = KernelInventory.vmlinux(4, 0...13) ?? KernelInventory.vmlinux(3, 2...19) else {
            try Test.cancel("no 3.x or 4.x kernel in \(KernelInventory.folder)")
        }
        let script = """
            #!/bin/sh
            export PATH=/bin
            mount -t devtmpfs dev /dev 2>/dev/null
            i=0
            while true; do
                busybox printf '%4096d' $i | busybox dd of=/dev/vda bs=4096 seek=$i conv=notrunc,fsync 2>/dev/null
                i=$((i+1)); echo "WROTE $i ."
            done
            """
        guard let initrd = Initramfs.withScript(script) else {
            try Test.cancel("no static i386 busybox in the cache")
        }
        let initrdFile = ScratchFile(Data(initrd))
        let isLong = ProcessInfo.processInfo.environment["LGUEST_LONG_TESTS"] != nil
        for _ in 0..<(isLong ? 50 : 3) {
            let image = ScratchFile(size: 16 << 20)
            let layer = ScratchFile(size: nil)
            let block = "--block=" + image.path + (overlay ? ",overlay=\(layer.path)" : "")
            let guest = try RunningProgram(
                try #require(RunningProgram.path),
                ["--timeout=300", "64m", kernel.path, "--initrd=" + initrdFile.path, "console=hvc0", block])
            try #require(guest.wait(for: "WROTE \(Int.random(in: 1...200)) ."), "\(guest.text)")
            guest.kill()
            let said = guest.text.components(separatedBy: "WROTE ").dropFirst().filter { $0.contains(" .") }
            let flushed = try #require(said.last.flatMap { Int($0.prefix { $0.isNumber }) })
            let disk = overlay ? GuestDisk.merged(image: image.bytes, overlay: layer.bytes) : image.bytes
            for index in 0..<flushed {
                let text = String(repeating: " ", count: 4096 - String(index).count) + String(index)
                #expect(disk[index * 4096..<(index + 1) * 4096].elementsEqual(text.utf8), "block \(index)")
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Real lguest kernels: boot, work in the shell, power off. What the inventory lacks is skipped by name.

import Boot
import Foundation
import LguestKit
import TestSupport
import Testing

/// What the guest does: each check prints `CHECK name ok` or `CHECK name BAD`.
private let checks = """
    #!/bin/sh
    export PATH=/bin
    dmesg -n 1  # the kernel's messages must not come between our words
    check() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "CHECK $name ok"; else echo "CHECK $name BAD"; fi; }
    check mount-proc mount -t proc proc /proc
    check mount-sysfs mount -t sysfs sysfs /sys
    check mount-tmpfs mount -t tmpfs tmp /tmp
    mount -t devtmpfs dev /dev 2>/dev/null
    echo "GUEST DATE $(date +%s)"
    check ps sh -c 'ps | grep -q init'
    check cpuinfo grep -q 'vendor_id' /proc/cpuinfo
    echo "UPTIME $(cat /proc/uptime)"
    sleep 2
    echo "UPTIME $(cat /proc/uptime)"
    i=0; while [ $i -lt 300 ]; do true | cat; /bin/true; i=$((i+1)); done; check forks [ $i = 300 ]
    check pipe sh -c 'seq 20000 | wc -l | grep -q 20000'
    check tmpfs-file sh -c 'seq 20000 > /tmp/a && cat /tmp/a > /tmp/b && [ "$(wc -c < /tmp/b)" = 108894 ]'
    check signal sh -c 'sleep 100 & kill $! && ! wait $!'
    sh -c 'kill -SEGV $$' 2>/dev/null; check segv [ $? = 139 ]
    echo "DMESG BEGIN"; dmesg; echo "DMESG END"
    poweroff -f
    """

@Suite("Linux", .serialized)
struct LinuxTests {
    private static let hasShell = Initramfs.busybox != nil
    private static let noShell: Comment = "no static i386 busybox in the cache: Scripts/fetch-busybox gets it"

    /// The kernels that the issue's generations are tested with; nil where the inventory has none.
    private static let plain44 = KernelInventory.vmlinux(4, 4...4, pae: false)
    private static let pae44 = KernelInventory.vmlinux(4, 4...4, pae: true)
    private static let late = KernelInventory.vmlinux(4, 9...13)
    private static let busPlain = KernelInventory.vmlinux(3, 2...19)
    private static let named = [plain44, pae44, late, busPlain].compactMap { $0?.path }
    private static let others = KernelInventory.all.filter { $0.runsBusybox && !named.contains($0.path) }
    private static let old = KernelInventory.all.filter { !$0.runsBusybox }

    private static func missing(_ what: String) -> Comment {
        "no vmlinux of Linux \(what) in \(KernelInventory.folder)"
    }

    @Test(
        "4.4 without PAE", .enabled(if: plain44 != nil, missing("4.4 without PAE")),
        .enabled(if: hasShell, noShell))
    func linux44() throws {
        try boots(try #require(Self.plain44))
        try boots(try #require(Self.plain44), .interpreter)
    }

    @Test(
        "4.4 with PAE", .enabled(if: pae44 != nil, missing("4.4 with PAE")), .enabled(if: hasShell, noShell))
    func linux44PAE() throws {
        try boots(try #require(Self.pae44))
        try boots(try #require(Self.pae44), .interpreter)
    }

    @Test("4.9 to 4.13", .enabled(if: late != nil, missing("4.9 to 4.13")), .enabled(if: hasShell, noShell))
    func linux49() throws { try boots(try #require(Self.late)) }

    @Test(
        "3.2 to 3.19, over the lguest device page", .enabled(if: busPlain != nil, missing("3.2 to 3.19")),
        .enabled(if: hasShell, noShell))
    func linux3() throws { try boots(try #require(Self.busPlain)) }

    @Test(
        "every other kernel of the inventory", .enabled(if: !others.isEmpty, "the inventory has no others"),
        .enabled(if: hasShell, noShell), arguments: others)
    func other(kernel: InventoryKernel) throws { try boots(kernel) }

    @Test(
        "kernels before 3.2, too old for busybox, come as far as looking for their root",
        .enabled(if: !old.isEmpty, missing("2.6.24 to 3.1")), arguments: old)
    func rootless(kernel: InventoryKernel) throws {
        let guest = try TestMachine(kernel: kernel.path, commandLine: "console=hvc0", limitSeconds: 300)
        guard case .killed(let report) = guest.run() else {
            Issue.record("the guest ended otherwise")
            return
        }
        #expect(report.hasPrefix("lguest: CRASH: VFS: Unable to mount root fs"), "\(report)")
    }

    /// Kernels that can use more memory than fits into their own address space, with so much (MiB), as far as guests
    /// may have it.
    private static let high: [HighKernel] = KernelInventory.all.compactMap { kernel in
        guard kernel.runsBusybox, !kernel.isCompressed, let found = try? Inspection(path: kernel.path),
            found.configuration?.contains("CONFIG_HIGHMEM=y") == true, let offset = found.pageOffset
        else { return nil }
        // The top 128 MiB of its space are for other things.
        let mapped = UInt64(UInt32.max - offset) >> 20 - 128
        return mapped + 320 > 3072 ? nil : HighKernel(kernel: kernel, memory: mapped + 320)
    }

    struct HighKernel: Sendable {
        let kernel: InventoryKernel
        let memory: UInt64
    }

    @Test(
        "memory above what the kernel maps is used, and keeps what is written there",
        .enabled(if: !high.isEmpty, missing("with CONFIG_HIGHMEM")), .enabled(if: hasShell, noShell),
        arguments: high)
    func highMemory(guest high: HighKernel) throws {
        // 220 MB, in pages that all differ from their neighbours.
        let script = """
            #!/bin/sh
            export PATH=/bin
            mount -t proc proc /proc
            mount -t tmpfs -o size=300m tmp /tmp
            grep High /proc/meminfo
            seq 1500000 > /tmp/part
            for i in $(seq 20); do cp /tmp/part /tmp/$i; done
            echo FILLED
            grep High /proc/meminfo
            for i in $(seq 1 6 20); do cmp /tmp/part /tmp/$i || echo "DIFFERS $i"; done
            echo COMPARED
            poweroff -f
            """
        let initrd = try #require(Initramfs.withScript(script))
        let guest = try TestMachine(
            kernel: high.kernel.path, initrd: initrd, memory: high.memory,
            commandLine: "console=hvc0", limitSeconds: 600)
        #expect(guest.run() == .powerOff)
        #expect(
            guest.text.contains("COMPARED") && !guest.text.contains("DIFFERS"), "\(guest.text.suffix(2000))")
        /// Values in KiB, before and after filling.
        func values(_ name: String) -> [Int] {
            guest.text.components(separatedBy: name + ":").dropFirst().compactMap {
                Int($0.trimmingPrefix { $0 == " " }.prefix { $0.isNumber })
            }
        }
        let (total, free) = (values("HighTotal"), values("HighFree"))
        try #require(total.count == 2 && free.count == 2, "\(guest.text.suffix(2000))")
        #expect(total[0] > 200_000)
        // Files go there, in some kernels in turn with other memory.
        #expect(free[1] < free[0] - 30_000, "\(free) of \(total)")
    }

    /// Boots to the shell, runs the checks, and looks at what they say.
    private func boots(_ kernel: InventoryKernel, _ engine: EngineChoice = .translator) throws {
        let initrd = try #require(Initramfs.withScript(checks))
        let guest = try TestMachine(
            kernel: kernel.path, initrd: initrd, commandLine: "console=hvc0", engine: engine,
            limitSeconds: 900)
        let before = Int(Date().timeIntervalSince1970)
        #expect(guest.run() == .powerOff)
        let after = Int(Date().timeIntervalSince1970)
        let lines = guest.text.split(separator: "\n").map(String.init)

        let results = lines.filter { $0.hasPrefix("CHECK ") }
        #expect(results.count == 10, "\(guest.text.suffix(3000))")
        #expect(results.allSatisfy { $0.hasSuffix(" ok") }, "\(results)")

        let date = try #require(lines.first { $0.hasPrefix("GUEST DATE ") }.flatMap { Int($0.dropFirst(11)) })
        #expect((before - 1...after + 1).contains(date))

        let uptimes = lines.filter { $0.hasPrefix("UPTIME ") }.compactMap {
            Double($0.split(separator: " ")[1])
        }
        try #require(uptimes.count == 2)
        // Never too short; how much longer it takes is the host's load as well.
        let slept = uptimes[1] - uptimes[0]
        #expect(slept >= 1.99 && slept < 20, "sleep 2 took \(slept) s")

        let first = try #require(lines.firstIndex(of: "DMESG BEGIN"))
        let last = try #require(lines.firstIndex(of: "DMESG END"))
        let bad = [
            "Oops", "BUG", "WARNING", "Call Trace", "unstable", "general protection", "soft lockup",
            "self-detected stall",
        ]
        let complaints = lines[first...last].filter { line in bad.contains { line.contains($0) } }
        #expect(complaints.isEmpty, "\(complaints)")
    }

    @Test("the shell works by typing, and Ctrl-C reaches it")
    func interactive() throws {
        guard let kernel = KernelInventory.vmlinux(4, 0...13) else {
            try Test.cancel("no vmlinux of Linux 4.0 to 4.13 in \(KernelInventory.folder)")
        }
        let script = """
            #!/bin/sh
            mount -t devtmpfs dev /dev
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            setsid cttyhack sh
            poweroff -f
            """
        guard let initrd = Initramfs.withScript(script) else {
            try Test.cancel("no static i386 busybox in the cache")
        }
        let guest = try TestMachine(kernel: kernel.path, initrd: initrd, commandLine: "console=hvc0 quiet")
        guest.script([
            ("# ", "echo $((6*7))\r"), ("# ", "echo going to sleep; sleep 1000\r"), ("sleep\r\n", "\u{3}"),
            ("# ", "exit\r"),
        ])
        #expect(guest.run() == .powerOff)
        #expect(guest.text.contains("\n42\n"))
    }
}

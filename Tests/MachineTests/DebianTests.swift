// SPDX-License-Identifier: Apache-2.0
//
// Debian's own kernels, unmodified, on the bare interface. `make test` fetches them through apt ('lguest images
// fetch'); without an archive these tests are skipped.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite("Debian kernels", .serialized)
struct DebianTests {
    static let skipped: Comment =
        "no Debian kernel in the cache: 'lguest images fetch 686 686-pae' needs an archive"

    static func image(_ flavour: DebianImage.Flavour) -> DebianImage? {
        (try? ImageCache()).flatMap { DebianImage.find(flavour, in: $0) }
    }

    static var haveAll: Bool { DebianImage.Flavour.allCases.allSatisfy { image($0) != nil } }

    private static let start = """
        #!/bin/sh
        /bin/busybox --install -s /bin
        mount -t proc proc /proc
        mount -t sysfs sysfs /sys
        mount -t devtmpfs dev /dev

        """

    /// What a kernel says when something is wrong with it or its machine.
    private static let complaints = [
        "WARNING:", "BUG:", "Oops", "Call Trace", "unstable", "unchecked MSR", "nobody cared",
        "[Firmware Bug]",
        "BIOS Error", "spurious", "Kernel panic",
    ]

    private func machine(
        _ flavour: DebianImage.Flavour, script: String, engine: EngineChoice, arguments: String = "",
        devices: (inout MachineConfiguration) throws -> Void = { _ in }
    ) throws -> TestMachine {
        let image = try #require(DebianTests.image(flavour))
        return try TestMachine(
            kernel: image.kernelPath, initrd: image.initramfs(script: DebianTests.start + script),
            memory: 256,
            commandLine: "console=ttyS0 cryptomgr.notests noisapnp \(arguments)", engine: engine,
            limitSeconds: 300, devices: devices)
    }

    @Test(
        "to the first line of init, on the interpreter", .enabled(if: haveAll, skipped),
        arguments: DebianImage.Flavour.allCases)
    func interpreter(flavour: DebianImage.Flavour) throws {
        let machine = try machine(
            flavour, script: "echo first line; reboot -f", engine: .interpreter, arguments: "quiet")
        #expect(machine.run() == .restart)
        #expect(machine.text.contains("first line"))
    }

    @Test("by the PVH entry, with its initrd and command line", .enabled(if: haveAll, skipped))
    func pvh() throws {
        // Linux calls this loader 11, version 0.
        let machine = try machine(
            .pae,
            script: "echo loader: $(cat /proc/sys/kernel/bootloader_type) $(cat /proc/cmdline); poweroff -f",
            engine: .translator, arguments: "quiet of-pvh"
        ) { $0.interface = .pvh }
        #expect(machine.run() == .powerOff)
        #expect(machine.text.contains("loader: 176 console=ttyS0"))
        #expect(machine.text.contains("of-pvh"))
    }

    @Test(
        "to a shell, with disk, network and power-off, on the translator", .enabled(if: haveAll, skipped),
        arguments: DebianImage.Flavour.allCases)
    func translator(flavour: DebianImage.Flavour) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("lguest-\(UUID()).img").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let text = "what is on the disk\n"
        let contents = Data(text.utf8) + Data(count: (1 << 20) - text.utf8.count)
        #expect(FileManager.default.createFile(atPath: path, contents: contents))
        let machine = try machine(
            flavour,
            script: """
                for module in /lib/modules/*.ko; do insmod $module; done
                read text </dev/vda
                echo "disk: $text"
                ip link set eth0 up
                udhcpc -i eth0 -n -q -s /bin/udhcpc-script >/dev/null 2>&1
                echo "address: $(ip -4 addr show dev eth0 | grep -o '10[.]0[.]2[.][0-9]*/24')"
                echo "gateway: $(ping -c 1 -W 5 10.0.2.2 >/dev/null && echo answers)"
                head -c 64 /dev/hwrng | wc -c
                cat /sys/devices/system/clocksource/clocksource0/current_clocksource
                cat /proc/uptime >/dev/hvc0
                poweroff -f
                """,
            engine: .translator
        ) {
            $0.disks = [try DiskSpecification(parsing: path)]
            $0.networks = [try NetworkSpecification(net: "user")]
            $0.hasRandom = true
        }
        #expect(machine.run() == .powerOff)
        let output = machine.text
        #expect(output.contains("disk: what is on the disk\n"), "\(output)")
        #expect(output.contains("address: 10.0.2.15/24\n"))
        #expect(output.contains("gateway: answers\n"))
        #expect(output.contains("\n64\n"))
        #expect(output.contains("\ntsc\n") || output.contains("\nkvm-clock\n"))
        for complaint in DebianTests.complaints where output.contains(complaint) {
            Issue.record("the kernel complains: \(complaint)\n\(output)")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// All of lguest under the system call filter that Docker uses unless told otherwise: no ptrace, no userfaultfd, no
// unshare, no io_uring.

import Foundation
import LguestKit
import TestSupport
import Testing

@testable import lguest

@Suite(
    "In a container", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct ContainerTests {
    private let guest = BuiltinGuestFile.path

    private func run(
        _ words: [String], steps: [(after: String, input: String)] = []
    ) throws -> Program.Result {
        let profile = try #require(Helper.path("container-profile"))
        return try Program.run([try #require(Program.path)] + words, steps: steps, program: profile)
    }

    @Test("the profile refuses what it is there to refuse")
    func profile() throws {
        let profile = try #require(Helper.path("container-profile"))
        for command in [["unshare", "-U", "true"], ["unshare", "-n", "true"]] {
            let done = try Program.run(command, program: profile)
            #expect(done.status != 0 && done.errors.contains("not permitted"), "\(done)")
        }
        #expect(try Program.run(["true"], program: profile).status == 0)
    }

    @Test("guests with all devices", arguments: ["interpreter", "translator"])
    func guests(engine: String) throws {
        try Program.withFolder { folder in
            let image = folder + "/disk"
            try Data(count: 1 << 20).write(to: URL(fileURLWithPath: image))
            let banner = "lguest builtin guest"
            let done = try run(
                [
                    "64m", guest, "--engine=\(engine)", "--block=\(image)", "--net=user", "--rng",
                    "--balloon=8m", "--timeout=120",
                ], steps: [(banner, "reboot\r"), (banner, "halt\r")])
            #expect(done.status == 0 && done.errors.isEmpty, "\(done)")
        }
    }

    @Test("consoles elsewhere")
    func consoles() throws {
        try Program.withFolder { folder in
            for console in ["pty", "file:\(folder)/text", "unix:\(folder)/socket"] {
                let done = try run(["64m", guest, "--console=\(console)", "--timeout=60", "run=halt"])
                #expect(done.status == 0, "\(done)")
            }
        }
    }

    @Test("Linux", .enabled(if: Initramfs.busybox != nil, "no static i386 busybox in the cache"))
    func linux() throws {
        guard let kernel = KernelInventory.vmlinux(4, 0...13) else {
            try Test.cancel("no vmlinux of Linux 4.0 to 4.13 in \(KernelInventory.folder)")
        }
        let script = "#!/bin/sh\nexport PATH=/bin\necho LINUX IS UP\npoweroff -f\n"
        let initrd = try #require(Initramfs.withScript(script))
        try Program.withFolder { folder in
            try Data(initrd).write(to: URL(fileURLWithPath: folder + "/initrd"))
            let done = try run(
                [
                    "64m", kernel.path, "--initrd=\(folder)/initrd", "--net=user", "--timeout=300",
                    "console=hvc0", "quiet",
                ])
            #expect(done.status == 0 && done.output.contains("LINUX IS UP"), "\(done)")
        }
    }

    @Test("inspect, image create and doctor")
    func others() throws {
        #expect(try run(["inspect", guest]).status == 0)
        let doctor = try run(["doctor", "--json"])
        #expect(doctor.status == 0, "\(doctor)")
        let report = try JSONSerialization.jsonObject(with: Data(doctor.output.utf8)) as? [String: Any]
        let checks = try #require(report?["checks"] as? [[String: Any]])
        let status = Dictionary(
            uniqueKeysWithValues: checks.map { ($0["name"] as? String ?? "", $0["status"] as? String ?? "") })
        #expect(status["user namespaces"] == "missing" && status["passt"] == "missing")
        for name in ["guest memory", "memfd", "executable mappings", "sandbox"] {
            #expect(status[name] == "works", "\(name)")
        }
        guard HostPrograms.find("mke2fs") != nil else { return }
        try Program.withFolder { folder in
            let done = try run(["image", "create", folder + "/i", "--size=8m", "--from-dir=\(folder)"])
            #expect(done.status == 0, "\(done)")
        }
    }
}

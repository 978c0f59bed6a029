// SPDX-License-Identifier: Apache-2.0
//
// How runs end and what they leave: time-outs, reboots, statuses, consoles, identities.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite(
    "Runs", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct RunTests {
    private let guest = BuiltinGuestFile.path

    @Test("a time-out ends with 124 and one line")
    func timeout() throws {
        let done = try Program.run(["64m", guest, "--timeout=0.5", "run=spin 60"])
        #expect(done.status == 124)
        #expect(done.errors == "lguest: the guest was ended after 0.5 s (--timeout)\n")
    }

    @Test("a console in a file, on a pseudo-terminal")
    func consoles() throws {
        try Program.withFolder { folder in
            let file = folder + "/console"
            let done = try Program.run(["64m", guest, "--console=file:\(file)", "run=halt"])
            #expect(done.status == 0 && done.output.isEmpty && done.errors.isEmpty, "\(done)")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains("builtin guest"))
            let refused = try Program.run(["64m", guest, "--console=file:\(folder)/no/where"])
            #expect(refused.status == 2 && refused.errors.contains("No such file"))
        }
        let pty = try Program.run(["64m", guest, "--console=pty", "--name=g1", "run=halt"])
        #expect(pty.status == 0)
        #expect(pty.errors.hasPrefix("lguest: g1: the console is on /dev/pts/"), "\(pty.errors)")
    }

    @Test("a reboot starts the guest again; with --no-reboot it ends with 0")
    func reboot() throws {
        let once = try Program.run(["64m", guest, "--no-reboot", "--timeout=60"], input: "reboot\r")
        #expect(once.status == 0, "\(once)")
        let banner = "lguest builtin guest"
        let twice = try Program.run(
            ["64m", guest, "--timeout=60"], steps: [(banner, "reboot\r"), (banner, "halt\r")])
        #expect(twice.status == 0)
        let starts = twice.output.components(separatedBy: "lguest builtin guest").count - 1
        #expect(starts == 2, "\(twice.output)")
    }

    @Test("a user that is not there, and rights that are not there")
    func identity() throws {
        let nobody = try Program.run(["64m", guest, "--username=no-such-user", "run=halt"])
        #expect(nobody.status == 2 && nobody.errors.hasPrefix("lguest: there is no user 'no-such-user'"))
        let nowhere = try Program.run(["64m", guest, "--chroot=/no/such", "run=halt"])
        #expect(nowhere.status == 2 && nowhere.errors.hasPrefix("lguest: cannot change the root to /no/such"))
        guard getuid() == 0 else { return }
        try Program.withFolder { folder in
            let both = try Program.run(
                ["64m", guest, "--username=nobody", "--chroot=\(folder)", "--timeout=60"],
                steps: [("lguest builtin guest", "reboot\r"), ("lguest builtin guest", "halt\r")])
            #expect(both.status == 0 && both.errors.isEmpty, "\(both)")
        }
    }

    @Test("a byte on port 0xF4 ends lguest with that status")
    func guestStatus() throws {
        // mov $7,%al; out %al,$0xf4; then the call by which an lguest kernel is recognised, never reached.
        let code: [UInt8] = [0xB0, 7, 0xE6, 0xF4, 0xEB, 0xFE, 0xB8, 1, 0, 0, 0, 0xBB, 0, 0, 0, 0, 0xCD, 0x1F]
        func words(_ values: UInt32...) -> [UInt8] {
            values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        }
        let head: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let file =
            head + words(0x3_0002, 1, 0x10_0000, 52, 0, 0, 0x20_0034, 1, 0)
            + words(1, 84, 0xC010_0000, 0x10_0000, UInt32(code.count), 4096, 7, 4096) + code
        try Program.withFolder { folder in
            let kernel = folder + "/kernel"
            try Data(file).write(to: URL(fileURLWithPath: kernel))
            let done = try Program.run(["64m", kernel, "--timeout=20", "--exit-with-guest-status"])
            #expect(done.status == 7 && done.errors.isEmpty, "\(done)")
            // Without the option the port is not there, and this guest goes on for ever.
            #expect(try Program.run(["64m", kernel, "--timeout=0.5"]).status == 124)
        }
    }
}

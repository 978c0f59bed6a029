// SPDX-License-Identifier: Apache-2.0
//
// `lguest ps` and `lguest monitor` with running guests.

import Foundation
import Support
import TestSupport
import Testing
import Trace

@testable import lguest

@Suite(
    "Monitor", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct MonitorTests {
    /// Guests and commands that share a runtime folder of their own.
    private final class Stage {
        let folder: String

        init() throws {
            folder = FileManager.default.temporaryDirectory.path + "/lm" + UUID().uuidString.prefix(8)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func start(_ words: [String]) throws -> Child {
            try Child(try #require(Program.path), words, added: ["XDG_RUNTIME_DIR": folder])
        }

        /// Runs a command to its end: status, output, errors.
        func run(_ words: String...) throws -> (status: Int32, output: String, errors: String) {
            let child = try start(words)
            let (output, errors) = (child.restOfOutput(), child.restOfErrors())
            return (child.wait(), output, errors)
        }

        /// A guest that has come so far that its console shows `text`.
        func guest(_ name: String, _ words: [String], until text: String) throws -> Child {
            let process = try start(
                ["64m", BuiltinGuestFile.path, "--name=\(name)", "--timeout=120"] + words)
            for _ in 0..<1000 {
                if try run("monitor", name, "screen").output.contains(text) { return process }
                guard process.isRunning else { break }
                usleep(10_000)
            }
            Issue.record("\(name) did not come up")
            return process
        }
    }

    @Test("ps lists guests by name, forgets those that are gone, and removes what killed ones left")
    func list() throws {
        let stage = try Stage()
        #expect(try stage.run("ps").output == "NAME  PID  STATE  MEMORY  UPTIME  KERNEL\n")
        #expect(try stage.run("ps", "--json").output == "[]\n")
        let first = try stage.guest("alpha", [], until: "lguest>")
        let second = try stage.guest("odd/name %", [], until: "lguest>")
        let lines = try stage.run("ps").output.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.contains { $0.hasPrefix("alpha ") && $0.contains("halted") && $0.contains("64 MiB") })
        #expect(lines.contains { $0.hasPrefix("odd/name % ") })
        let json = try #require(JSON(parsing: try stage.run("ps", "--json").output))
        guard case .list(let guests) = json else { return #expect(Bool(false), "\(json)") }
        #expect(
            guests.compactMap { $0["pid"]?.word }.sorted()
                == [first, second].map { UInt64($0.processID) }.sorted())
        #expect(guests.first { $0["name"]?.string == "alpha" }?["memory"]?.word == 64 << 20)
        first.kill(SIGKILL)
        first.wait()
        #expect(try stage.run("ps").output.split(separator: "\n").count == 2)
        let sockets = try FileManager.default.contentsOfDirectory(atPath: stage.folder + "/lguest")
        #expect(sockets.count == 1)
        #expect(try stage.run("monitor", "odd/name %", "quit").status == 0)
        #expect(second.wait() == 0)
        #expect(try stage.run("ps").output.split(separator: "\n").count == 1)
    }

    @Test("the tasks of a Linux guest", .enabled(if: linux != nil, "no vmlinux 4.4"))
    func tasks() throws {
        let stage = try Stage()
        let kernel = try #require(Self.linux)
        let guest = try stage.start([
            "64m", kernel.path, "--name=l", "--timeout=120", "--gdb=unix:\(stage.folder)/gdb,nowait",
            "console=hvc0",
        ])
        var text = ""
        // Without a disk it panics, and then stands still for the debugger.
        for _ in 0..<1000 where !text.contains("kthreadd") {
            text = try stage.run("monitor", "l", "tasks").output
            usleep(10_000)
        }
        let lines = text.split(separator: "\n")
        #expect(
            lines.contains { $0.hasSuffix(" 0  swapper") } && lines.contains { $0.hasSuffix(" 2  kthreadd") })
        #expect(lines.filter { $0.hasPrefix("* ") }.count == 1, "\(text)")
        _ = try stage.run("monitor", "l", "quit")
        guest.wait()
        let other = try stage.guest("b", [], until: "lguest>")
        #expect(try stage.run("monitor", "b", "tasks").output.contains("cannot be found"))
        #expect(try stage.run("monitor", "--json", "b", "tasks").output == "[]\n")
        _ = try stage.run("monitor", "b", "quit")
        other.wait()
    }

    @Test("a paused guest stands still, and goes on")
    func pause() throws {
        let stage = try Stage()
        let guest = try stage.guest("p", ["run=spin 60"], until: "builtin guest")
        #expect(try stage.run("monitor", "p", "pause").status == 0)
        func instructions() throws -> UInt64? {
            JSON(parsing: try stage.run("monitor", "--json", "p", "status").output)?["instructions"]?.word
        }
        let before = try #require(try instructions())
        #expect(try instructions() == before)
        #expect(try stage.run("ps").output.contains("paused"))
        let status = try stage.run("monitor", "p", "status").output
        #expect(status.contains("64 MiB\n") && status.contains(" s\n"), "\(status)")
        #expect(try stage.run("monitor", "p", "continue").status == 0)
        var moved = false
        for _ in 0..<500 where !moved {
            moved = try instructions() != before
        }
        #expect(moved)
        #expect(try stage.run("monitor", "\(guest.processID)", "quit").output == "ok\n")
        guest.wait()
    }

    @Test("stats, help, and commands that make no sense")
    func answers() throws {
        let stage = try Stage()
        let guest = try stage.guest("a", [], until: "lguest>")
        #expect(try stage.run("monitor", "a", "stats").output.contains("guest instructions"))
        #expect(try stage.run("monitor", "a", "help").output.contains("nmi"))
        for words in [
            ["monitor", "a", "nothing"], ["monitor", "a", "status", "more"], ["monitor", "a", "balloon"],
            ["monitor", "a", "balloon", "x"], ["monitor", "a", "balloon", "8m"],
            ["monitor", "nobody", "status"],
        ] {
            #expect(try stage.start(words).wait() == 2, "\(words)")
        }
        let again = try stage.run("64m", BuiltinGuestFile.path, "--name=a", "run=halt")
        #expect(again.status == 2 && again.errors.contains("runs already"))
        _ = try stage.run("monitor", "a", "quit")
        guest.wait()
    }

    @Test("lines that are no requests get an error each, and the connection lives")
    func nonsense() throws {
        let stage = try Stage()
        let guest = try stage.guest("n", [], until: "lguest>")
        let connection = try SocketConnection(path: stage.folder + "/lguest/n.sock")
        func ask(_ line: String) -> JSON? {
            _ = connection.send(Array((line + "\n").utf8))
            var text: [UInt8] = []
            while text.last != UInt8(ascii: "\n"), connection.waitForInput(milliseconds: 30_000) {
                guard case .bytes(let bytes) = connection.receive() else { return nil }
                text += bytes
            }
            return JSON(parsing: text)
        }
        for line in ["x", "[]", "{}", "{\"command\":7}", "{\"command\":\"balloon\",\"bytes\":-1}", "\u{1}"] {
            #expect(ask(line)?["error"]?.string != nil, "\(line)")
        }
        #expect(ask("{\"id\":\"x\",\"command\":\"status\"}")?["id"] == .string("x"))
        #expect(ask("{\"command\":\"events\"}")?["result"] == .bool(true))
        _ = try stage.run("monitor", "n", "quit")
        #expect(ask("{\"command\":\"status\"}")?["event"]?.string == "ended")
        guest.wait()
    }

    private static let linux = KernelInventory.vmlinux(4, 4...4)

    @Test(
        "Linux hears of an NMI and lends memory",
        .enabled(if: linux != nil && Initramfs.busybox != nil, "no vmlinux 4.4 or busybox"))
    func linuxKernel() throws {
        let kernel = try #require(Self.linux)
        let stage = try Stage()
        let script =
            "#!/bin/sh\nmount -t proc p /proc\necho ready\nwhile true; do grep MemFree /proc/meminfo; dmesg | grep NMI; sleep 1; done\n"
        let initrd = stage.folder + "/initrd"
        _ = FileManager.default.createFile(
            atPath: initrd, contents: Data(try #require(Initramfs.withScript(script))))
        let guest = try stage.start([
            "64m", kernel.path, "--name=l", "--initrd=\(initrd)", "--balloon=16m", "console=hvc0", "quiet",
            "--timeout=120",
        ])
        func wait(for text: String, _ words: [String]) throws -> Bool {
            for _ in 0..<2000 where guest.isRunning {
                if try stage.start(words).restOfOutput().contains(text) { return true }
                usleep(20_000)
            }
            return false
        }
        #expect(try wait(for: "MemFree", ["monitor", "l", "screen"]))
        #expect(try stage.run("monitor", "l", "nmi").output == "ok\n")
        #expect(try wait(for: "NMI: ", ["monitor", "l", "screen"]))
        #expect(try stage.run("monitor", "l", "balloon", "20m").output == "ok\n")
        #expect(try wait(for: "\"balloon\":20971520", ["monitor", "--json", "l", "status"]))
        #expect(try stage.run("monitor", "l", "quit").status == 0)
        guest.wait()
    }
}

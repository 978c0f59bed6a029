// SPDX-License-Identifier: Apache-2.0
//
// `lguest exec`: a command in a Debian guest, with this process's streams and the command's status.

import Foundation
import LguestKit
import Testing

@Suite(
    "lguest exec", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(
        if: (try? ImageCache()).flatMap { DebianImage.find(.plain, in: $0) } != nil,
        "no Debian kernel in the cache: 'lguest images fetch' needs an archive"))
struct ExecTests {
    @Test("standard streams byte for byte, arguments, and the status")
    func streams() throws {
        let done = try Program.run(
            [
                "exec", "--timeout=120", "--", "sh", "-c", "cat; printf '%s|' \"$@\" >&2; exit 42", "x",
                "a b", "c'd",
            ],
            input: "one\ntwo, without an end")
        #expect(done.status == 42)
        #expect(done.output == "one\ntwo, without an end")
        #expect(done.errors == "a b|c'd|")
    }

    @Test("a conversation: each line is there when it is sent; and the guest's time is the host's")
    func conversation() throws {
        let lguest = try Conversation([
            "exec", "--timeout=120", "--", "sh", "-c",
            "while read line; do echo $line $(adjtimex | grep -o 'tv_.*' | grep -o '[0-9]*'); done",
        ])
        for word in ["one", "two"] {
            let before = Date().timeIntervalSince1970
            let words = lguest.ask(word).split(separator: " ").map(String.init)
            let after = Date().timeIntervalSince1970
            try #require(words.count == 3 && words[0] == word, "\(words)")
            let time = try #require(Double(words[1])) + (try #require(Double(words[2]))) / 1e6
            // The line went there and back between the two, however long it took.
            #expect(time > before - 0.05 && time < after + 0.05, "\(time) in \(before)...\(after)")
        }
        #expect(try lguest.end() == 0)
    }

    @Test("statuses of a success, of a program that is not there, of a signal, of the time's end")
    func statuses() throws {
        #expect(try Program.run(["exec", "--", "true"]).status == 0)
        #expect(try Program.run(["exec", "--", "no-such-program"]).status == 127)
        #expect(try Program.run(["exec", "--", "sh", "-c", "kill -9 $$"]).status == 137)
        let late = try Program.run(["exec", "--timeout=0.5", "--", "sleep", "60"])
        #expect(late.status == 124 && late.errors.contains("--timeout"), "\(late)")
    }

    @Test("the current folder, read-only unless ':rw' is said")
    func folder() throws {
        try Program.withFolder { folder in
            try "contents".write(toFile: folder + "/file", atomically: false, encoding: .utf8)
            let script = "cat file; echo more >new && mv new newer; chmod 640 newer"
            let refused = try Program.run(["exec", "--share", folder, "--", "sh", "-c", script])
            #expect(refused.output == "contents")
            #expect(refused.errors.contains("Read-only file system"))
            #expect(refused.status != 0)
            let done = try Program.run(["exec", "--share", folder + ":rw", "--", "sh", "-c", script])
            #expect(done.status == 0 && done.errors.isEmpty, "\(done)")
            #expect(try String(contentsOfFile: folder + "/newer", encoding: .utf8) == "more\n")
            let facts = try FileManager.default.attributesOfItem(atPath: folder + "/newer")
            #expect((facts[.posixPermissions] as? Int) == 0o640)
        }
    }

    @Test("the kernel changes its own code: function tracer, probes of an entry and of a return")
    func tracers() throws {
        let script = """
            mount -t tracefs none /sys/kernel/tracing && cd /sys/kernel/tracing || exit 9
            echo function >current_tracer && ls / >/dev/null
            echo 0 >tracing_on; grep -c ' <-' trace; echo nop >current_tracer; echo 1 >tracing_on
            echo 'p:entry do_sys_openat2' >kprobe_events
            echo 'r:leave do_sys_openat2 result=$retval' >>kprobe_events
            echo 1 >events/kprobes/enable; cat /no/such 2>/dev/null; cat /proc/version >/dev/null
            echo 0 >events/kprobes/enable
            grep -c 'entry: (do_sys_openat2' trace; grep -c 'leave: .*result=0xfffffffe' trace
            dmesg | grep -E 'WARNING|BUG|Oops'; true
            """
        let done = try Program.run(["exec", "--timeout=200", "--", "sh", "-c", script])
        let counts = done.output.split(separator: "\n").map { Int($0) ?? -1 }
        try #require(done.status == 0 && counts.count == 3, "\(done)")
        #expect(counts[0] > 1000, "functions called")
        #expect(counts[1] >= 2 && counts[2] >= 1, "\(done)")
    }

    @Test("a folder that is not there, and no command")
    func mistakes() throws {
        let lost = try Program.run(["exec", "--share", "/no/such", "--", "true"])
        #expect(lost.status == 2 && lost.errors.contains("/no/such"), "\(lost)")
        #expect(try Program.run(["exec"]).status != 0)
    }

    @Test("boot debian: a shell, whose input may be there before it, and power-off")
    func shell() throws {
        let done = try Program.run(
            ["boot", "debian", "--timeout=120", "--net=user"],
            input: "echo $((6*7))-answers; ip -4 addr show eth0 | grep -c 10.0.2.15; exit\r")
        #expect(done.status == 0, "\(done)")
        let lines = done.output.replacingOccurrences(of: "\r", with: "").split(separator: "\n")
        #expect(lines.contains("42-answers") && lines.contains("1"), "\(done.output)")
        #expect(done.errors.isEmpty, "\(done.errors)")
    }

    @Test("each flavour's status, with both kinds of network", arguments: DebianImage.Flavour.allCases)
    func networks(flavour: DebianImage.Flavour) throws {
        guard (try? ImageCache()).flatMap({ DebianImage.find(flavour, in: $0) }) != nil else {
            try Test.cancel(
                "no kernel \(flavour.rawValue) in the cache: 'lguest images fetch' needs an archive")
        }
        let script = """
            [ -e /dev/net/tun ] || { echo "NO TUN"; exit; }
            exec "$0" exec --flavour \(flavour.rawValue) --timeout=200 --tunnet=192.168.19.1 --net=user -- sh -c '
                ip addr add 192.168.19.2/24 dev eth0; ip link set eth0 up; ip link set eth1 up
                ping -c 1 -W 9 192.168.19.1 >/dev/null && echo TAP
                udhcpc -i eth1 -n -q -s /bin/udhcpc-script >/dev/null 2>&1
                ping -c 1 -W 9 10.0.2.2 >/dev/null && echo USER
                exit 9'
            """
        let done = try Program.run(
            ["-rn", "sh", "-c", script, try #require(Program.path)], program: "unshare")
        if done.output.contains("NO TUN") || done.errors.contains("unshare") {
            try Test.cancel("no TAP in a network namespace here: \(done.errors)")
        }
        #expect(done.status == 9, "\(done)")
        #expect(done.output == "TAP\nUSER\n", "\(done)")
    }

    @Test("two folders, and the network")
    func more() throws {
        try Program.withFolder { folder in
            let done = try Program.run([
                "exec", "--share", folder + ":rw", "--share", "/usr/share/keyrings", "--net=user", "--", "sh",
                "-c",
                "pwd; ls /work2 | grep -c gpg; echo x >/work2/x; echo y >y; wget -q -O - http://10.0.2.2:9/ || echo no",
            ])
            #expect(done.output.hasPrefix("/work\n") && done.output.hasSuffix("no\n"), "\(done)")
            #expect(done.errors.contains("Read-only") && done.errors.contains("refused"), "\(done)")
            #expect(FileManager.default.fileExists(atPath: folder + "/y"))
        }
    }
}

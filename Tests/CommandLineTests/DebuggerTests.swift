// SPDX-License-Identifier: Apache-2.0
//
// The guest under gdb: breakpoints, watchpoints, steps, registers, memory, tasks; and the protocol where gdb would
// not go.

import Boot
import Foundation
import LguestKit
import Support
import TestSupport
import Testing

@Suite(
    "gdb", .serialized, .enabled(if: GDB.path != nil, "gdb is not installed"),
    .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct DebuggerTests {
    private static let engines = ["interpreter", "translator"]

    /// Runs gdb against a guest; gdb's output, and how lguest ended.
    private func debug(
        _ kernel: String, _ words: [String], engine: String, _ commands: [String]
    ) throws -> (gdb: String, status: Int32, guest: String) {
        let program = try DebuggedProgram(["64m", kernel, "--engine=\(engine)"] + words)
        let text = try GDB.run(["target remote \(program.socket)"] + commands, file: kernel)
        let end = program.finish()
        return (text, end.status, end.text)
    }

    private func expect(_ text: String, inOrder parts: [String]) {
        var rest = text[...]
        for part in parts {
            guard let range = rest.range(of: part) else {
                Issue.record("\"\(part)\" is missing, or not in its place, in:\n\(text)")
                return
            }
            rest = rest[range.upperBound...]
        }
    }

    @Test("break, step, look at registers and memory, run on", arguments: engines)
    func builtin(engine: String) throws {
        let done = try debug(
            BuiltinGuestFile.path, ["run=mem"], engine: engine,
            [
                "break guest_main", "continue", "bt", "compare-sections .text", "stepi",
                "p/x $eip - (unsigned)&guest_main < 32", "set $eax = 0x12345678", "p/x $eax", "p $mxcsr",
                "set $xmm3.v4_int32[1] = 77", "p $xmm3.v4_int32", "p $st0", "info threads",
                "set *(int*)$esp = 99", "x/dw $esp", "monitor tlb 0xc0100000", "monitor symbol guest_main",
                "monitor trace hypercall on", "monitor trace nothing on", "delete", "continue",
            ])
        expect(
            done.gdb,
            inOrder: [
                "Breakpoint 1, ", "in guest_main", "#1 ", "high", "matched", "= 0x1", "= 0x12345678", "IM DM",
                "{0, 77, 0, 0}", "= 0", "Thread 1", "99", "-> 0x100000", "guest_main",
                "recorded: hypercall", "no category", "exited normally",
            ])
        #expect(done.status == 0)
        #expect(done.guest.contains("command line run=mem"))
        #expect(done.guest.contains("SHUTDOWN"), "the trace is missing: \(done.guest)")
    }

    @Test("the guest does not notice breakpoints and watchpoints", arguments: engines)
    func unnoticed(engine: String) throws {
        // Both lie in pages that the conformance suite uses all the time.
        let done = try debug(
            BuiltinGuestFile.path, ["conformance"], engine: engine,
            [
                "break *0xc0100000", "watch *(int*)&untouched_variable", "rwatch *(char*)&untouched_constant",
                "continue",
            ])
        #expect(done.gdb.contains("watchpoint 2") && done.gdb.contains("watchpoint 3"), "\(done.gdb)")
        #expect(done.guest.contains(" passed, 0 failed"), "\(done.guest.suffix(400)) \(done.gdb)")
        #expect(done.status == 0)
    }

    @Test("a watchpoint stops behind the write, and shows both values", arguments: engines)
    func watch(engine: String) throws {
        let done = try debug(
            BuiltinGuestFile.path, ["run=mem"], engine: engine,
            [
                "break guest_main", "continue", "watch -l *(unsigned*)($esp - 8)", "continue",
                "x/i $eip", "delete", "awatch -l *(unsigned*)($esp - 4)", "continue", "delete", "continue",
            ])
        expect(
            done.gdb,
            inOrder: [
                "watchpoint 2", "Old value", "New value", "access", "watchpoint 3", "alue", "exited normally",
            ])
        #expect(done.status == 0)
    }

    @Test("a guest that dies can be looked at before it is gone", arguments: engines)
    func autopsy(engine: String) throws {
        let done = try debug(
            BuiltinGuestFile.path, ["run=crash jump"], engine: engine, ["continue", "bt", "continue"])
        expect(
            done.gdb,
            inOrder: [
                "the guest was stopped", "page fault", "SIGSEGV", "0xdead0000", "run_probe", "guest_main",
            ])
        #expect(done.status == 1)
    }

    @Test("a guest that restarts keeps its breakpoints")
    func restart() throws {
        let program = try DebuggedProgram(["64m", BuiltinGuestFile.path, "run=reboot"])
        let text = try GDB.run(
            [
                "target remote \(program.socket)", "break guest_main", "continue", "continue",
                "info registers eip",
                "kill",
            ], file: BuiltinGuestFile.path)
        #expect(text.components(separatedBy: "Breakpoint 1, ").count == 3, "\(text)")
        #expect(program.finish().status == 0)
    }

    @Test("Ctrl-C, detaching, coming again, killing")
    func visits() throws {
        let program = try DebuggedProgram(["64m", BuiltinGuestFile.path, "run=spin 60"])
        var client = ProtocolClient(try program.connect())
        #expect(client.ask("?")?.hasPrefix("T02") == true)
        client.send("c")
        client.raw([3])
        #expect(client.next()?.hasPrefix("T02") == true)
        // Stopped is stopped: memory does not change, and a step changes one register at least.
        let before = client.ask("p8")
        #expect(client.ask("p8") == before)
        #expect(client.ask("vCont;s:1")?.hasPrefix("T05") == true)
        #expect(client.ask("p8") != before)
        #expect(client.ask("Z0,c0100000,1") == "OK")
        #expect(client.ask("D") == "OK")
        #expect(client.next() == nil)
        client = ProtocolClient(try program.connect())
        #expect(client.ask("?")?.hasPrefix("T02") == true)
        client.send("k")
        #expect(program.finish().status == 0)
    }

    @Test("packets that make no sense are refused, and harm nobody")
    func nonsense() throws {
        let program = try DebuggedProgram(["64m", BuiltinGuestFile.path, "run=mem"])
        let client = ProtocolClient(try program.connect())
        for packet in [
            "m", "m,", "mffffffff", "mzz,4", "M0,4:00", "M0,ffffffff:", "X0,5:", "p", "pffff", "pzz", "P",
            "P0", "P0=1",
            "P0=zz", "Pff=00000000", "Z0", "Z0,1", "Z2,zz,4", "T", "Tffffffff", "Hgzz", "qThreadExtraInfo,zz",
            "qRcmd,zz",
            "qRcmd,z", "qXfer:features:read:target.xml:zz,1", "qXfer:features:read:nothing:0,10", "G00zz",
        ] {
            let answer = client.ask(packet)
            #expect(answer?.hasPrefix("E") == true, "\(packet): \(answer ?? "nothing")")
        }
        for packet in [
            "", "?!", "vNothing", "qNothing", "Q", "!", "qXfer", "qXfer:nothing:read::0,1", "Z9,0,1",
            "\u{7F}",
        ] {
            if packet == "?!" { continue }
            #expect(client.ask(packet) == "", "\(packet)")
        }
        #expect(client.ask("qXfer:features:read:target.xml:ffffff,10") == "l")
        #expect(client.ask("m0,ffffffff")?.count == 0x1F00 * 2)
        #expect(client.ask("Me0000000,1:00") == "E0e")
        client.send("c")
        #expect(client.next() == "W00")
        #expect(program.finish().status == 0)
    }

    @Test("--gdb with words that make no sense")
    func options() throws {
        for word in ["x", "", "99999", "unix:", "unix:/no/such/folder/socket", "-1"] {
            let done = try Program.run(["64m", BuiltinGuestFile.path, "--gdb=\(word)", "run=halt"])
            #expect(done.status == 2 && done.errors.hasPrefix("lguest: "), "\(word): \(done)")
        }
    }

    @Test("without waiting the guest begins at once")
    func noWait() throws {
        let program = try DebuggedProgram(["64m", BuiltinGuestFile.path, "run=halt"], option: ",nowait")
        #expect(program.finish().status == 0)
    }

    private static let linux = KernelInventory.vmlinux(4, 4...4)

    @Test(
        "Linux: break at start_kernel, step, watch a variable, read the tasks",
        .enabled(if: linux != nil, "no vmlinux 4.4"),
        arguments: engines)
    func linuxKernel(engine: String) throws {
        let kernel = try #require(Self.linux)
        let done = try debug(
            kernel.path, ["console=hvc0"], engine: engine,
            [
                "break start_kernel", "continue", "p/x $eip == (unsigned)&start_kernel", "stepi", "stepi",
                "delete", "break rest_init", "continue", "bt", "delete", "watch *(int*)&jiffies", "continue",
                "delete", "hbreak schedule", "continue", "info threads", "thread 3", "bt 1", "monitor tasks",
                "p *(char(*)[14])&linux_banner", "kill",
            ])
        expect(
            done.gdb,
            inOrder: [
                "Breakpoint 1, ", "start_kernel", "Breakpoint 2, ", "rest_init", "in start_kernel",
                "watchpoint 3", "Old value", "New value", "hit Breakpoint 4", "schedule",
                "\"swapper", "(pid 0)", "schedule", "(pid 1)", "(pid 2)", "ret_from_kernel_thread",
                "* pid 0  swapper", "pid 1", "pid 2", "\"Linux version \"", "killed",
            ])
        #expect(done.status == 0)
    }

    @Test(
        "Linux: interrupts wait while it is stepped, unless they are wanted",
        .enabled(if: linux != nil, "no vmlinux 4.4"), arguments: engines)
    func interruptsBetweenSteps(engine: String) throws {
        let kernel = try #require(Self.linux)
        // The first process has interrupts on, and its tick is due long before a fifth of a second has gone by.
        let done = try debug(
            kernel.path, ["console=hvc0"], engine: engine,
            [
                "hbreak kernel_init", "continue", "shell sleep 0.2", "stepi 3", "info symbol $eip",
                "monitor step-interrupts on", "monitor step-interrupts nonsense", "stepi",
                "info symbol $eip", "monitor step-interrupts off", "kill",
            ])
        expect(
            done.gdb,
            inOrder: [
                "hit Breakpoint 1", "kernel_init", "kernel_init", "steps: on", "usage", "irq", "steps: off",
                "killed",
            ])
    }

    @Test(
        "Linux: tasks of a kernel whose symbols name functions only",
        .enabled(if: linux != nil, "no vmlinux 4.4"))
    func tasksWithoutSymbol() throws {
        let kernel = try #require(Self.linux)
        try Program.withFolder { folder in
            let map = folder + "/System.map"
            try Self.functions(of: kernel.path).write(toFile: map, atomically: true, encoding: .utf8)
            let done = try debug(
                kernel.path, ["console=hvc0", "--symbols=\(map)"], engine: "translator",
                [
                    "hbreak start_kernel", "continue", "monitor tasks", "delete",
                    "hbreak wait_for_completion", "continue", "monitor tasks", "p/x &init_task",
                    "monitor symbol init_task", "kill",
                ])
            expect(
                done.gdb,
                inOrder: [
                    "Breakpoint 1, ", "pid 0  processor", "hit Breakpoint 2", "  pid 0  swapper",
                    "* pid 1  swapper", "  pid 2  kthreadd", "= 0xc", "usage",
                ])
            let address = done.gdb.components(separatedBy: "$1 = ").last?.prefix { !$0.isNewline } ?? "?"
            #expect(done.gdb.contains("pid 0  swapper  task_struct \(address)"), "\(done.gdb)")
        }
    }

    /// Those symbols of a kernel file that are functions, as a System.map.
    private static func functions(of path: String) throws -> String {
        let table = try #require(try KernelImage(path: path).symbols)
        let start = try #require(table.lookup(name: "_stext")).address
        let end = try #require(table.lookup(name: "_etext")).address
        var (lines, address) = ("", start)
        while address < end {
            if let place = table.lookup(address), place.offset == 0 {
                lines += "\(String(address, radix: 16)) t \(place.symbol.name)\n"
            }
            address += 1
        }
        return lines + "\(String(start, radix: 16)) T _stext\n\(String(end, radix: 16)) T _etext\n"
    }

    private static let debian = (try? ImageCache()).flatMap { DebianImage.find(.plain, in: $0) }

    @Test(
        "tasks of Debian's kernel, whose own symbol table names functions only",
        .enabled(if: debian != nil, "no Debian kernel in the image cache"))
    func debianTasks() throws {
        let image = try #require(Self.debian)
        let program = try DebuggedProgram(["256m", image.kernelPath, "console=ttyS0"])
        let client = ProtocolClient(try program.connect())
        var tasks = ""
        // It takes a while until there are some.
        for _ in 0..<300 where !tasks.contains("kthreadd") {
            client.send("c")
            usleep(100_000)
            client.raw([3])
            #expect(client.next()?.hasPrefix("T02") == true)
            tasks = client.monitor("tasks")
        }
        let lines = tasks.split(separator: "\n").map { $0.split(separator: " ").drop { $0 == "*" } }
        let names = Dictionary(
            lines.filter { $0.count == 5 }.map { (Array($0)[1], Array($0)[2]) },
            uniquingKeysWith: { a, _ in a })
        #expect(names["0"] == "swapper/0" && names["2"] == "kthreadd", "\(tasks)")
        #expect(names["1"] == "swapper/0" || names["1"] == "init", "\(tasks)")
        #expect(tasks.split(separator: "\n").filter { $0.hasPrefix("* ") }.count == 1, "\(tasks)")
        #expect(client.ask("qXfer:threads:read::0,4000")?.contains("name=\"kthreadd\"") == true)
        client.send("k")
        #expect(program.finish().status == 0)
    }

    /// Debian's kernel, and later ones, whose symbols are in another order.
    private static let stock: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: KernelInventory.folder)) ?? []
        let later = files.sorted().filter { $0.hasPrefix("vmlinuz-6") }.map {
            KernelInventory.folder + "/" + $0
        }
        return [debian?.kernelPath].compactMap { $0 } + later
    }()

    @Test(
        "a trace of a distribution's kernel names its tasks",
        .enabled(if: !stock.isEmpty, "no Debian kernel in the image cache, no vmlinuz-6… in LGUEST_KERNELS"),
        arguments: stock)
    func stockTrace(kernel: String) throws {
        try Program.withFolder { folder in
            let trace = folder + "/trace.jsonl"
            // Without a disk it panics, and wants to start again.
            let done = try Program.run([
                "256m", kernel, "--trace=irq,mmio", "--trace-output=\(trace)", "--no-reboot",
                "console=ttyS0", "panic=-1",
            ])
            #expect(done.status == 0, "\(done.errors)")
            let text = try String(contentsOfFile: trace, encoding: .utf8)
            for name in ["swapper/0", "kthreadd"] {
                #expect(text.contains("\"task\":\"\(name)\""), "\(name)")
            }
            #expect(text.contains("apic.end_of_interrupt"))
        }
    }

    /// Built with debug information; its name says so.
    private static let withLines = KernelInventory.all.first {
        $0.name.hasPrefix("vmlinux") && $0.name.contains("debug")
    }

    @Test(
        "Linux with debug information: source lines, variables by name",
        .enabled(if: withLines != nil, "no vmlinux whose name has 'debug' in it"), arguments: engines)
    func sourceLines(engine: String) throws {
        let kernel = try #require(Self.withLines)
        let done = try debug(
            kernel.path, ["console=hvc0"], engine: engine,
            [
                "break start_kernel", "continue", "next", "step", "delete", "watch jiffies", "continue",
                "bt 2", "delete", "hbreak kernel_init", "continue", "p init_task.comm",
                "p current_task->comm", "p current_task->pid", "thread 3", "bt", "kill",
            ])
        expect(
            done.gdb,
            inOrder: [
                "Breakpoint 1, start_kernel () at ", "init/main.c:", "watchpoint 2: jiffies", "Old value",
                "New value", "kernel/time/timekeeping.c:", "hit Breakpoint 3, kernel_init (unused=",
                "= \"swapper", "= \"swapper", "= 1", "__schedule", "kernel/sched/core.c:", "kthreadd (",
                "killed",
            ])
    }

    /// crash, built for guests of 32 bits (`make target=X86`): distributions' is for their own architecture only.
    private static let crash: String? = {
        let environment = ProcessInfo.processInfo.environment
        let path = environment["LGUEST_CRASH"] ?? (environment["HOME"] ?? "") + "/.cache/lguest/crash-i386"
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }()

    @Test(
        "a panic's report has source lines, and gdb opens its core",
        .enabled(if: withLines != nil, "no vmlinux whose name has 'debug' in it"))
    func panicWithLines() throws {
        let kernel = try #require(Self.withLines)
        try Program.withFolder { folder in
            let core = folder + "/core"
            let done = try Program.run(["64m", kernel.path, "--coredump=\(core)", "console=hvc0"])
            expect(
                done.errors,
                inOrder: [
                    "CRASH: VFS: Unable to mount root fs", "stack, innermost first", " panic+",
                    "kernel/panic.c:", "mount_block_root+", "init/do_mounts.c:", "kernel_init+",
                    "core file written",
                ])
            let text = try GDB.run(
                ["bt", "p init_task.comm", "p jiffies > 4294667296"], file: kernel.path, [core])
            expect(
                text,
                inOrder: ["panic (fmt=", "mount_block_root (", "kernel_init (", "= \"swapper", "= 1"])
            guard let crash = Self.crash else { return }
            let commands = folder + "/commands"
            try "bt\nps\nlog\nquit\n".write(toFile: commands, atomically: true, encoding: .utf8)
            let session = try Child(crash, ["-s", "-i", commands, kernel.path, core], together: true)
            expect(
                session.restOfOutput(),
                inOrder: [
                    "PID: 1 ", "COMMAND: \"swapper\"", "panic at ", "prepare_namespace at ",
                    "kernel_init at ",
                    "PPID", "[kthreadd]", "[kswapd0]", "] Linux version ", "Kernel panic - not syncing",
                ])
        }
    }
}

@Suite(
    "Core files and stack traces", .serialized, .enabled(if: Program.path != nil, "run `make build` first"),
    .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct CoreFileTests {
    @Test("the report shows who called whom, with source lines")
    func report() throws {
        let done = try Program.run(["64m", BuiltinGuestFile.path, "run=crash jump"])
        let lines = done.errors.split(separator: "\n")
        let start = try #require(lines.firstIndex { $0.contains("stack, innermost first") })
        let frames = lines[(start + 1)...].prefix { $0.contains("0x") }
        #expect(
            frames.contains { $0.contains("Shell.run") && $0.contains("Shell/Shell.swift:") },
            "\(done.errors)")
        #expect(frames.last?.contains("high+") == true, "\(done.errors)")
        #expect(frames.last?.contains("Start.S:") == true)
    }

    @Test("gdb opens the core of a guest that died", .enabled(if: GDB.path != nil, "gdb is not installed"))
    func core() throws {
        try Program.withFolder { folder in
            let core = folder + "/core"
            let done = try Program.run(["64m", BuiltinGuestFile.path, "--coredump=\(core)", "run=crash ud"])
            #expect(done.status == 1 && done.errors.contains("core file written: \(core)"), "\(done)")
            let text = try GDB.run(
                ["bt", "x/i $eip", "compare-sections .rodata", "p/x $cs"], file: BuiltinGuestFile.path, [core]
            )
            for part in ["ud2", "guest_main", "= 0x61"] { #expect(text.contains(part), "\(part): \(text)") }
            #expect(!text.contains("may not match"), "\(text)")
        }
    }

    @Test("no death, no core; a place that cannot be written")
    func noCore() throws {
        try Program.withFolder { folder in
            let core = folder + "/core"
            let done = try Program.run(["64m", BuiltinGuestFile.path, "--coredump=\(core)", "run=halt"])
            let size = try? FileManager.default.attributesOfItem(atPath: core)[.size] as? Int
            #expect(done.status == 0 && (size ?? 0) == 0)
        }
        let refused = try Program.run(["64m", BuiltinGuestFile.path, "--coredump=/no/such/core", "run=halt"])
        #expect(refused.status == 2 && refused.errors.contains("/no/such/core"))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Real kernels under the eyes of a trace: symbols, tasks, callers, and the symbol table in guest memory.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite("Trace of Linux", .serialized)
struct LinuxTraceTests {
    private static let kernels = KernelInventory.all.filter { kernel in
        kernel.runsBusybox && (kernel.version?.major ?? 0) >= 4
    }
    private static let plain = KernelInventory.vmlinux(4, 0...13, pae: false)
    private static let script = """
        #!/bin/sh
        export PATH=/bin
        mount -t proc proc /proc
        cat /proc/kallsyms > /tmp/k
        ls / > /dev/null
        poweroff -f
        """

    /// Runs a kernel with a trace of JSON lines, and gives its objects.
    private func trace(_ kernel: String, _ categories: TraceCategory, symbols: String? = nil) throws
        -> [[String: Any]]
    {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("t-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        var request = TraceRequest(categories)
        request.destinations = [.jsonLines(path)]
        let header = TraceHeader(kernel: kernel, version: "", memoryBytes: 64 << 20, engine: "interpreter")
        let tracing = try Tracing(request, header, rawTerminal: false) { Issue.record("\($0)") }
        let archive = try #require(Initramfs.withScript(Self.script))
        let guest = try TestMachine(
            kernel: kernel, initrd: archive,
            commandLine: "console=hvc0 quiet", limitSeconds: 120)
        guest.machine.record(for: tracing)
        #expect(guest.run() == .powerOff, "\(guest.text)")
        tracing.finish()
        return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test(
        "places, callers and tasks have names, with an ELF file and without",
        .enabled(if: !kernels.isEmpty, "no Linux 4.x in \(KernelInventory.folder)"),
        .enabled(if: Initramfs.busybox != nil, "no static i386 busybox: Scripts/fetch-busybox gets it"),
        arguments: kernels)
    func names(kernel: InventoryKernel) throws {
        let events = try trace(kernel.path, [.hypercall, .syscall, .trap]).filter { $0["event"] != nil }
        // Once the kernel's own tables are in use, kernel code has names: of the stubs only their callers are shown.
        let calls = events.filter { $0["event"] as? String == "SET_PTE" && $0["queued"] == nil }
        let places = calls.compactMap { $0["place"] as? String }
        let named = places.filter { !$0.hasPrefix("0x") }
        #expect(named.count > places.count * 9 / 10 && places.count > 100, "\(places.prefix(20))")
        #expect(named.filter { $0.hasPrefix("lguest_") }.count < named.count / 10, "\(named.prefix(20))")
        try expectRightCallers(events, kernel)
        let writes = events.filter { event in
            event["event"] as? String == "SYSCALL"
                && (event["arguments"] as? [String: Any])?["call"] as? Int == 4
        }
        #expect(!writes.isEmpty && writes.allSatisfy { $0["ring"] as? Int == 3 })
        let tasks = Set(events.compactMap { $0["task"] as? String })
        #expect(tasks.contains("init") && tasks.contains("cat") && tasks.contains("swapper"), "\(tasks)")
    }

    /// Places that are known from the kernels' sources. Old return addresses lie above each of these calls, and some of
    /// the calls come from code that is only there while the kernel starts, or from functions that jump to each other.
    private func expectRightCallers(_ events: [[String: Any]], _ kernel: InventoryKernel) throws {
        func functions(_ name: String) -> Set<String> {
            let places = events.filter { $0["event"] as? String == name }.compactMap {
                $0["place"] as? String
            }
            return Set(places.compactMap { $0.split(separator: "+").first.map(String.init) })
        }
        let gates = functions("LOAD_IDT_ENTRY").filter { !$0.hasPrefix("0x") }
        #expect(gates.isSuperset(of: ["cpu_init", "trap_init"]), "\(gates)")
        let expected = [
            "cpu_init", "trap_init", "early_trap_init", "setup_arch", "lguest_init_IRQ", "init_IRQ",
            "start_kernel",
        ]
        #expect(gates.isSubset(of: expected), "\(gates)")
        let timer = functions("SET_CLOCKEVENT").filter { !$0.hasPrefix("0x") }
        #expect(timer.isSubset(of: ["clockevents_program_event", "clockevents_exchange_device"]), "\(timer)")
        guard kernel.isPAE else { return }
        let middle = functions("SET_PMD").filter { !$0.hasPrefix("0x") }
        #expect(middle.contains("free_pgd_range") && !middle.contains { $0.contains("vfs_") }, "\(middle)")
    }

    @Test(
        "the table in guest memory has the ELF file's symbols",
        .enabled(if: plain != nil, "no vmlinux of Linux 4.x without PAE in \(KernelInventory.folder)"))
    func kallsyms() throws {
        let kernel = try #require(Self.plain)
        let guest = try TestMachine(kernel: kernel.path, commandLine: "console=hvc0 quiet panic=1")
        let symbols = try #require(guest.machine.kernel.symbols)
        let memory = try guest.machine.memory.readBytes(0, count: 32 << 20)
        let table = try #require(Kallsyms(in: memory), "no table found: is CONFIG_KALLSYMS set?")
        #expect(table.symbols.count > 10_000)
        for name in ["start_kernel", "do_page_fault", "schedule", "sys_write"] {
            let found = table.symbols.first {
                $0.name == name || $0.name == "SyS_write" && name == "sys_write"
            }
            #expect(found?.address == symbols.lookup(name: name)?.address, "\(name)")
        }
    }
}

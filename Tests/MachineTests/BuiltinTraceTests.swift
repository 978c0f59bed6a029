// SPDX-License-Identifier: Apache-2.0
//
// The trace of a known run: the built-in guest asks the same of its hypervisor each time, in the same order.

import LguestKit
import TestSupport
import Testing

/// Keeps what a tap hands over.
private final class KeptEvents: TraceSink {
    var events: [TraceEvent] = []
    func write(_ events: UnsafeBufferPointer<TraceEvent>, of tap: TraceTap) { self.events += Array(events) }
}

@Suite("Trace of the built-in guest", .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct BuiltinTraceTests {
    private struct Run {
        let guest: TestMachine
        let events: [TraceEvent]

        init(_ words: String, _ categories: TraceCategory, _ engine: EngineChoice = .interpreter) throws {
            guest = try TestMachine(kernel: BuiltinGuestFile.path, commandLine: words, engine: engine)
            let sink = KeptEvents()
            guest.machine.tap.attach(sink)
            guest.machine.tap.categories = categories
            #expect(guest.run() == .powerOff)
            guest.machine.tap.drain()
            events = sink.events
        }

        func name(_ event: TraceEvent) -> String { guest.machine.tap.kinds[Int(event.kind)].name }

        /// `LOAD_GDT_ENTRY ×32`, one after the other.
        var sequence: [String] {
            var runs: [(name: String, count: Int)] = []
            for event in events {
                let name = name(event) + (event.flags.contains(.queued) ? " (queued)" : "")
                if runs.last?.name == name {
                    runs[runs.count - 1].count += 1
                } else {
                    runs.append((name, 1))
                }
            }
            return runs.map { $0.count == 1 ? $0.name : "\($0.name) ×\($0.count)" }
        }
    }

    private static let start = [
        "LGUEST_INIT", "NEW_PGTABLE", "LOAD_GDT_ENTRY ×32", "LOAD_IDT_ENTRY ×256", "SET_STACK",
    ]

    @Test("the exact sequence of hypercalls", arguments: [EngineChoice.interpreter, .translator])
    func hypercalls(engine: EngineChoice) throws {
        #expect(
            try Run("run=user; timer 1", .hypercall, engine).sequence == Self.start + [
                "NEW_PGTABLE ×7", "SET_CLOCKEVENT", "HALT", "SHUTDOWN",
            ])
        #expect(
            try Run("pae run=pagefault", .hypercall, engine).sequence == Self.start + [
                "SET_PGD", "NEW_PGTABLE", "SET_PTE ×65", "SHUTDOWN",
            ])
    }

    @Test("queued calls come before the call that has them carried out")
    func queued() throws {
        let sequence = try Run("run=async", .hypercall).sequence
        // Eight by hand, then the same call 4000 times directly, then through the ring of 64 entries.
        let first =
            Self.start + [
                "NEW_PGTABLE", "LOAD_GDT_ENTRY (queued) ×8", "FLUSH_ASYNC", "LOAD_GDT_ENTRY ×4000",
                "LOAD_GDT_ENTRY (queued) ×64", "LOAD_GDT_ENTRY",
            ]
        #expect(Array(sequence.prefix(first.count)) == first)
        #expect(sequence.suffix(2) == ["FLUSH_ASYNC", "SHUTDOWN"])
    }

    @Test("arguments, places and callers of the first calls")
    func details() throws {
        let run = try Run("run=halt", .hypercall)
        let calls = run.events
        #expect(calls[0].ring == 1 && calls[0].cr3 == 0 && calls[0].instructions < 100)
        // The table that the second call names is the current one for the third.
        #expect(calls[2].cr3 == calls[1].arguments[0])
        let idt = calls.filter { run.name($0) == "LOAD_IDT_ENTRY" }
        #expect(idt.map { $0.arguments[0] } == (0..<256).map { UInt32($0) })
        let symbols = run.guest.machine.symbols
        let origins = idt[0].callers
        let names = [idt[0].eip, origins[0], origins[1]].compactMap { symbols.lookup($0)?.symbol.name }
        #expect(names.contains { $0.contains("IDT.load") }, "\(names)")
        #expect(zip(calls, calls.dropFirst()).allSatisfy { $0.time <= $1.time })
    }

    @Test("a system call: into the kernel and back", arguments: [EngineChoice.interpreter, .translator])
    func systemCall(engine: EngineChoice) throws {
        let run = try Run("run=user", [.syscall, .user, .trap], engine)
        #expect(
            run.sequence == [
                "TO_USER", "SYSCALL", "TO_USER", "SYSCALL", "TO_USER", "TRAP", "TO_USER", "PAGE_FAULT",
            ])
        let calls = run.events.filter { run.name($0) == "SYSCALL" }
        #expect(calls.allSatisfy { $0.ring == 3 && $0.eip < 0xC000_0000 })
        let fault = try #require(run.events.last)
        #expect(fault.arguments[0] == 0xC010_0000 && fault.arguments[1] == 5 && fault.arguments[3] == 14)
    }

    @Test("as many events as --stats counts", arguments: [EngineChoice.interpreter, .translator])
    func counts(engine: EngineChoice) throws {
        let run = try Run("run=user; pagefault; async; timer 1; pci", .all, engine)
        let readings = run.guest.machine.readings
        func counted(_ counter: Counter, _ label: String? = nil) -> Int {
            readings.first { $0.counter == counter && $0.label == label }.map { Int($0.value) } ?? 0
        }
        var calls: [String: Int] = [:]
        for event in run.events { calls[run.name(event), default: 0] += 1 }
        for name in ["LOAD_GDT_ENTRY", "LOAD_IDT_ENTRY", "SET_PTE", "NEW_PGTABLE", "HALT", "FLUSH_ASYNC"] {
            #expect(
                calls[name] ?? 0 == counted(.hypercalls, "LHCALL_" + name) && calls[name] ?? 0 > 0, "\(name)")
        }
        #expect(calls["IRQ"] == counted(.interrupts))
        let traps = (calls["TRAP"] ?? 0) + (calls["PAGE_FAULT"] ?? 0) + (calls["SYSCALL"] ?? 0)
        let reflected = readings.filter { $0.counter == .traps }.reduce(0) { $0 + Int($1.value) }
        #expect(traps + (calls["IRQ"] ?? 0) == reflected)
        #expect(calls["TAKE"] == calls["GIVE"] && calls["TAKE"] ?? 0 > 0)
    }

    @Test("accesses to devices come from the same functions with both engines")
    func devicePlaces() throws {
        func places(_ engine: EngineChoice) throws -> (all: Set<UInt32>, functions: Set<String>) {
            let run = try Run("run=pci; help", [.mmio, .virtio], engine)
            let all = Set(run.events.filter { $0.ring == 1 }.map(\.eip))
            let symbols = run.guest.machine.symbols
            return (all, Set(all.compactMap { symbols.lookup($0)?.symbol.name }))
        }
        // The interpreter knows the block, the translator the instruction.
        let (one, other) = (try places(.interpreter), try places(.translator))
        #expect(one.functions == other.functions && one.functions.count >= 3)
        #expect(other.all.count > 2 * one.all.count)
    }

    @Test("off, a run records nothing")
    func off() throws {
        let guest = try TestMachine(kernel: BuiltinGuestFile.path, commandLine: "run=user")
        #expect(guest.run() == .powerOff)
        #expect(guest.machine.tap.recorded == 0 && guest.machine.tap.mask.pointee == 0)
    }
}

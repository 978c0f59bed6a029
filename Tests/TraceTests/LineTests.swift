// SPDX-License-Identifier: Apache-2.0

import Foundation
import Support
import Tap
import Testing

@testable import Trace

@Suite("Readable traces")
struct LineTests {
    private static let symbols = SymbolTable([
        Symbol(name: "do_page_fault", address: 0xC100_0000, size: 256),
        Symbol(name: "lguest_set_pte", address: 0xC200_0000, size: 256),
        Symbol(name: "page_fault", address: 0xC300_0000, size: 256),
    ])

    /// The lines for `events`, without the first.
    static func lines(
        colour: Bool = false, tasks: Bool = false, _ make: (TraceTap, ManualClock) -> Void
    ) throws -> [String] {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("lines-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let (tap, clock) = (TraceTap(), ManualClock())
        tap.clock = clock
        tap.stubs = ["lguest_"]
        let names = GuestNames(
            NameSources(symbol: { symbols.lookup($0) }, task: { _ in tasks ? "init" : nil }))
        let output = LineOutput(try OutputFile(creating: path), colour: colour)
        let header = TraceHeader(kernel: "k", version: "", memoryBytes: 0, engine: "interpreter")
        let writer = TraceWriter(header, filter: TraceFilter(), outputs: [output], names: names)
        tap.attach(writer)
        tap.categories = .all
        make(tap, clock)
        tap.drain()
        writer.finish(tap)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return text.split(separator: "\n").dropFirst().map(String.init)
    }

    private static let setPTE = EventKind(
        "SET_PTE", [.hypercall, .pagetable],
        [.init("pgdir", .physical), .init("va", .address), .init("pte", .entry), .init("pte_high", .upper)])

    /// The processor's state, as far as a tap looks at it.
    private final class State {
        let eip = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        let ring = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
        let cr3 = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        let instructions = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        let wanted = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)

        init(_ tap: TraceTap, eip address: UInt32, ring level: UInt8) {
            eip.initialize(to: address)
            ring.initialize(to: level)
            cr3.initialize(to: 0)
            instructions.initialize(to: 0)
            wanted.initialize(to: 0)
            tap.connect(
                TraceContext(
                    eip: UnsafePointer(eip), ring: UnsafePointer(ring), cr3: UnsafePointer(cr3),
                    instructions: UnsafePointer(instructions), wanted: wanted))
        }

        deinit {
            eip.deallocate()
            ring.deallocate()
            cr3.deallocate()
            instructions.deallocate()
            wanted.deallocate()
        }
    }

    @Test("time, mode, place, event, arguments in words")
    func pageTableEntry() throws {
        let lines = try Self.lines { tap, clock in
            let kind = tap.define([Self.setPTE])
            let state = State(tap, eip: 0xC100_003C, ring: 1)
            clock.advance(nanoseconds: 132_841_999)
            let mark = tap.begin(kind, 0x1A3_D000, 0xBF8E_1000, 0x01C2_E067, 0)
            clock.advance(nanoseconds: 1234)
            tap.end(mark)
            withExtendedLifetime(state) {}
        }
        #expect(
            lines == [
                "+0.132841s   kernel  do_page_fault+0x3c              SET_PTE           "
                    + "pgdir 0x1a3d000  va 0xbf8e1000  pte 0x01c2e067 (user rw accessed dirty)  [1.2 µs]"
            ])
    }

    @Test("a stub is passed over for its caller; queued calls say so; entries of 64 bits, empty ones")
    func stubs() throws {
        final class Callers: TraceObserver {
            func currentTask() -> UInt32 { 0xC500_0000 }
            func callers() -> SIMD2<UInt32> { SIMD2(0xC200_0008, 0xC100_0020) }
        }
        let observer = Callers()
        let lines = try Self.lines(tasks: true) { tap, _ in
            let kind = tap.define([Self.setPTE])
            let state = State(tap, eip: 0xC200_0004, ring: 1)
            tap.observer = observer
            tap.end(tap.begin(kind, 0x1000, 0xBF8E_1000, 0x1025, 0x8000_0000, queued: true))
            tap.end(tap.begin(kind, 0x1000, 0xC300_0000, 0, 0))
            withExtendedLifetime(state) {}
        }
        #expect(lines.count == 2)
        #expect(lines[0].contains("kernel  init              do_page_fault+0x20"))
        #expect(lines[0].contains("pte 0x8000000000001025 (user ro accessed nx)  queued"))
        #expect(lines[1].contains("va 0xc3000000 (page_fault)  pte 0x00000000 (none)"))
    }

    @Test("where all callers are stubs, the outermost that has a name is shown")
    func onlyStubs() throws {
        final class Callers: TraceObserver {
            func currentTask() -> UInt32 { 0 }
            func callers() -> SIMD2<UInt32> { SIMD2(0xC200_0008, 0) }
        }
        let observer = Callers()
        let lines = try Self.lines { tap, _ in
            let state = State(tap, eip: 0xC200_0004, ring: 1)
            tap.observer = observer
            tap.end(tap.begin(tap.define([Self.setPTE]), 0x1000, 0, 0, 0))
            withExtendedLifetime(state) {}
        }
        #expect(lines.count == 1 && lines[0].contains("lguest_set_pte+0x8 "), "\(lines)")
    }

    @Test("faults, system calls, interrupts and devices in words")
    func words() throws {
        let lines = try Self.lines { tap, _ in
            tap.note(.pageFault, 0x0804_9000, 7, 0xC300_0000, 14)
            tap.note(.systemCall, 4, 1, 2, 3)
            tap.note(.trap, 13, 0x80)
            tap.note(.interrupt, 1, 33, 0xC300_0000)
            tap.note(.bufferTaken, tap.name("net.tx"), 3, 98, 0x1000)
            tap.isHostSide = true
            tap.note(.interruptRaised, tap.name("net.rx"))
        }
        let ends = [
            "PAGE_FAULT        va 0x8049000  access user write, not allowed  handler 0xc3000000 (page_fault)",
            "SYSCALL           call write  ebx 0x1  ecx 0x2  edx 0x3",
            "TRAP              vector 13 (general protection)  error 0x80  handler 0x0",
            "IRQ               irq 1  vector 33  handler 0xc3000000 (page_fault)",
            "TAKE              queue net.tx  head 3  bytes 98  buffer 0x1000",
            "host    -                               RAISE             queue net.rx",
        ]
        #expect(lines.count == ends.count)
        for (line, end) in zip(lines, ends) { #expect(line.hasSuffix(end), "\(line)") }
    }

    @Test("colours surround the same text")
    func colours() throws {
        let make: (TraceTap, ManualClock) -> Void = { tap, _ in tap.note(.systemCall, 4) }
        let plain = try Self.lines(make)
        let coloured = try Self.lines(colour: true, make)
        #expect(coloured[0].contains("\u{1B}[33mSYSCALL\u{1B}[0m"))
        let stripped = coloured[0].replacingOccurrences(
            of: "\u{1B}\\[[0-9]+m", with: "", options: .regularExpression)
        #expect(stripped == plain[0])
    }
}

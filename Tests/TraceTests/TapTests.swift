// SPDX-License-Identifier: Apache-2.0

import Support
import Tap
import Testing

/// Keeps what a tap hands over.
final class KeptEvents: TraceSink {
    var events: [TraceEvent] = []
    var batches = 0

    func write(_ events: UnsafeBufferPointer<TraceEvent>, of tap: TraceTap) {
        self.events += Array(events)
        batches += 1
    }
}

@Suite("Tap")
struct TapTests {
    private let clock = ManualClock()
    private let sink = KeptEvents()

    private func tap(_ categories: TraceCategory = .all) -> TraceTap {
        let tap = TraceTap()
        tap.clock = clock
        tap.attach(sink)
        tap.categories = categories
        return tap
    }

    @Test("an event is 64 bytes without references")
    func size() {
        #expect(MemoryLayout<TraceEvent>.stride == 64)
    }

    @Test("off, nothing is recorded; without a sink nothing can be wanted")
    func off() {
        let silent = TraceTap()
        silent.categories = .all
        #expect(silent.mask.pointee == 0)
        silent.note(.interrupt)
        #expect(silent.recorded == 0)
        let tap = tap(.irq)
        tap.note(.systemCall)
        tap.end(tap.begin(.portRead))
        #expect(tap.recorded == 0)
        #expect(tap.wants(.irq) && !tap.wants([.io, .syscall]))
        #expect(tap.mask.pointee == TraceCategory.irq.rawValue)
    }

    @Test("begin and end frame what happens in between")
    func nesting() {
        let tap = tap()
        clock.advance(nanoseconds: 100)
        let outer = tap.begin(.portWrite, 0xCF8, 4, 7)
        clock.advance(nanoseconds: 10)
        tap.note(.interruptRaised, 1)
        clock.advance(nanoseconds: 5)
        let inner = tap.begin(.queueKick, 1)
        clock.advance(nanoseconds: 2)
        tap.end(inner, 1, 42)
        tap.end(outer)
        tap.drain()
        #expect(sink.events.map(\.time) == [100, 110, 115])
        #expect(sink.events.map(\.duration) == [17, 0, 2])
        #expect(sink.events.map { $0.flags.contains(.timed) } == [true, false, true])
        #expect(sink.events[2].arguments == SIMD4(1, 42, 0, 0))
        #expect(tap.recorded == 3)
    }

    @Test("what turned out to be nothing is taken back, unless something followed it")
    func cancelling() {
        let tap = tap()
        tap.cancel(tap.begin(.hostPoll))
        #expect(tap.recorded == 0)
        let mark = tap.begin(.hostPoll)
        tap.note(.interruptRaised)
        tap.cancel(mark)
        #expect(tap.recorded == 2)
    }

    @Test("a full buffer is handed over; an event that was open then has no known end")
    func overflow() {
        let tap = tap()
        let open = tap.begin(.portWrite)
        for n in 0..<40_000 { tap.note(.interrupt, UInt32(n)) }
        tap.end(open)
        tap.drain()
        #expect(sink.events.count == 40_001 && tap.recorded == 40_001)
        #expect(sink.batches > 1)
        #expect(sink.events[0].duration == TraceEvent.unknownDuration)
        #expect(sink.events.dropFirst().map { $0.arguments[0] } == (0..<40_000).map { UInt32($0) })
    }

    @Test("kinds and names of others get numbers of their own")
    func kinds() {
        let tap = tap()
        let first = tap.define([EventKind("A", .hypercall), EventKind("B", .hypercall)])
        #expect(first == CommonKind.allCases.count)
        tap.note(first + 1)
        tap.note(first + 2)
        tap.drain()
        #expect(sink.events.map { tap.kinds[Int($0.kind)].name } == ["B"])
        #expect(tap.name("net.tx") == tap.name("net.tx") && tap.name("net.rx") != tap.name("net.tx"))
    }

    @Test("no kind has more than four arguments, and those of traps and page tables are complete")
    func descriptions() {
        for kind in CommonKind.allCases {
            #expect(kind.description.arguments.count <= 4)
            #expect(!kind.description.categories.isEmpty && !kind.description.name.isEmpty)
        }
    }

    @Test("lists of categories")
    func parsing() {
        #expect(TraceCategory.parse("irq,io") == ([.irq, .io], nil))
        #expect(TraceCategory.parse("all").categories == .all)
        #expect(TraceCategory.parse("irq,iou").unknown == "iou")
        #expect(TraceCategory.parse("").unknown == "")
        #expect(TraceCategory.all.memberNames.count == TraceCategory.names.count)
    }
}

/// Tuples compare here.
private func == (left: (categories: TraceCategory, unknown: String?), right: (TraceCategory, String?)) -> Bool
{
    left.categories == right.0 && left.unknown == right.1
}

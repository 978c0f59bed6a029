// SPDX-License-Identifier: Apache-2.0

import Tap
import Testing

@testable import Trace

@Suite("Journeys")
struct JourneyTests {
    private var journeys = Journeys()
    private var names = ["?", "net.tx"]
    private var time: UInt64 = 0

    private mutating func add(
        _ kind: CommonKind, _ task: String, _ arguments: SIMD4<UInt32>? = nil, ring: UInt8 = 1,
        lasting duration: UInt64? = nil
    ) {
        var event = SeenEvent()
        time += 10
        event.time = time
        event.duration = duration
        event.kind = kind.rawValue
        event.ring = ring
        event.task = task
        event.cr3 = UInt32(task.utf8.count)
        event.arguments = arguments ?? SIMD4(kind == .systemCall ? 102 : 1, 0, 98, 0)
        journeys.add(event, EventRole(kind.description), kind.description, names)
    }

    private mutating func send(_ task: String) {
        add(.mmioWrite, task, lasting: 1000)
        add(.queueKick, task, lasting: 900)
        add(.bufferTaken, task)
        add(.bufferReturned, task)
    }

    private func packets() -> [[CommonKind]] {
        (journeys.best[.packetOut] ?? []).map { $0.steps.compactMap { CommonKind(rawValue: $0.kind) } }
    }

    @Test("a packet begins with the system call of the program that sends it")
    mutating func packet() {
        add(.systemCall, "ping", ring: 3, lasting: 5)
        send("ping")
        #expect(packets() == [[.systemCall, .mmioWrite, .queueKick, .bufferTaken, .bufferReturned]])
    }

    @Test("a packet that comes in ends with its own interrupt, not with the timer's")
    mutating func incoming() {
        names.append("net.rx")
        add(.bufferReturned, "", [2, 0, 98, 0])
        add(.interruptRaised, "", [2, 0, 0, 0])
        add(.interrupt, "ping", [0, 32, 0, 0])
        add(.interrupt, "ping", [204, 236, 0, 0])
        add(.interrupt, "ping", [2, 34, 0, 0])
        add(.interrupt, "ping", [2, 34, 0, 0])
        #expect(journeys.best[.packetIn]?.map(\.steps.count) == [5])
    }

    @Test("not with that of another program, nor with one that is over")
    mutating func others() {
        add(.systemCall, "ping", ring: 3, lasting: 5)
        send("kworker")
        #expect(packets() == [[.mmioWrite, .queueKick, .bufferTaken, .bufferReturned]])
        time += 10_000
        add(.systemCall, "kworker", ring: 3, lasting: 5)
        add(.enterUser, "kworker", ring: 3)
        send("kworker")
        #expect(packets() == [[.mmioWrite, .queueKick, .bufferTaken, .bufferReturned]])
    }
}

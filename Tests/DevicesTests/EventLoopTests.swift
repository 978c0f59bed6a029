// SPDX-License-Identifier: Apache-2.0
//
// The event loop: descriptors, timers, and being woken.

import Foundation
import Glibc
import Support
import Testing

@testable import Devices

/// A pipe; both ends are closed with it.
final class TestPipe {
    let reader: Int32
    private(set) var writer: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        closeWriter()
    }

    func closeWriter() {
        if writer >= 0 { close(writer) }
        writer = -1
    }

    func write(_ text: String) {
        _ = HostIO.write(writer, [UInt8](text.utf8), from: 0, limit: .max)
    }

    /// What is in the pipe, which must not be empty.
    func read(limit: Int = 65536) -> String {
        guard case .bytes(let bytes) = HostIO.read(reader, limit: limit) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }
}

@Suite("Event loop")
struct EventLoopTests {
    @Test("calls the handler of a ready descriptor, and only then")
    func ready() throws {
        let loop = try EventLoop(clock: SystemClock())
        let pipe = try TestPipe()
        var seen = ""
        let source = loop.register(descriptor: pipe.reader) { seen += pipe.read() }
        #expect(!loop.poll())
        pipe.write("a")
        #expect(loop.poll())
        #expect(seen == "a")
        pipe.write("b")
        loop.setEnabled(source, false)
        #expect(!loop.poll())
        loop.setEnabled(source, true)
        #expect(loop.wait(timeoutNanoseconds: nil))
        #expect(seen == "ab")
        pipe.write("c")
        loop.unregister(source)
        #expect(!loop.poll())
    }

    @Test("waits no longer than it was told")
    func timeout() throws {
        let clock = SystemClock()
        let loop = try EventLoop(clock: clock)
        let start = clock.monotonicNanoseconds()
        #expect(!loop.wait(timeoutNanoseconds: 20_000_000))
        let waited = clock.monotonicNanoseconds() - start
        #expect(waited >= 20_000_000 && waited < 2_000_000_000)
    }

    @Test("another thread can wake it")
    func wake() throws {
        let loop = try EventLoop(clock: SystemClock())
        let waker = loop.waker
        waker.wake()
        #expect(loop.wait(timeoutNanoseconds: nil), "woken before it slept")
        #expect(!loop.poll(), "once")
        // A thread of its own: those of Swift's pool may all be waiting in other tests.
        Thread.detachNewThread { waker.wake() }
        #expect(loop.wait(timeoutNanoseconds: 10_000_000_000))
    }

    @Test("a handler may unregister others that are ready too")
    func unregisterInside() throws {
        let loop = try EventLoop(clock: SystemClock())
        let pipes = [try TestPipe(), try TestPipe()]
        var calls = 0
        var sources: [EventLoop.Source] = []
        for pipe in pipes {
            pipe.write("x")
            sources.append(
                loop.register(descriptor: pipe.reader) {
                    calls += 1
                    for source in sources { loop.unregister(source) }
                })
        }
        // The descriptors live as long as the pipes, which nothing else keeps.
        withExtendedLifetime(pipes) {
            loop.poll()
            loop.poll()
        }
        #expect(calls == 1)
    }

    @Test("a descriptor closed behind its back is forgotten")
    func closed() throws {
        let loop = try EventLoop(clock: SystemClock())
        var calls = 0
        // No process has this many.
        _ = loop.register(descriptor: 1_000_000) { calls += 1 }
        loop.poll()
        #expect(!loop.poll())
        #expect(calls == 0)
    }

    @Test("timers run in order, once, when their time has come")
    func timers() throws {
        let clock = ManualClock()
        let loop = try EventLoop(clock: clock)
        var order: [Int] = []
        loop.schedule(afterNanoseconds: 200) { order.append(2) }
        loop.schedule(afterNanoseconds: 100) { order.append(1) }
        let cancelled = loop.schedule(afterNanoseconds: 150) { order.append(9) }
        loop.schedule(afterNanoseconds: .max) { order.append(9) }
        loop.cancel(cancelled)
        #expect(!loop.poll())
        clock.advance(nanoseconds: 100)
        #expect(loop.wait(timeoutNanoseconds: nil))
        #expect(order == [1])
        clock.advance(nanoseconds: 1000)
        loop.poll()
        loop.poll()
        #expect(order == [1, 2])
    }
}

@Suite("Clocks")
struct ClockTests {
    @Test("the host's clocks move forward")
    func system() {
        let clock = SystemClock()
        let first = clock.monotonicNanoseconds()
        #expect(clock.monotonicNanoseconds() >= first)
        #expect(clock.realtime().seconds > 1_600_000_000)
        #expect(clock.realtime().nanoseconds < 1_000_000_000)
    }

    @Test("a manual clock moves when told, and carries")
    func manual() {
        let clock = ManualClock(monotonicNanoseconds: 5, realtimeSeconds: 100)
        clock.advance(nanoseconds: 1_999_999_999)
        clock.advance(nanoseconds: 1)
        #expect(clock.monotonicNanoseconds() == 2_000_000_005)
        #expect(clock.realtime() == (102, 0))
    }
}

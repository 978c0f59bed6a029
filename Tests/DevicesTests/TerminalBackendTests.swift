// SPDX-License-Identifier: Apache-2.0
//
// The terminal backend on pipes and files: bytes both ways, the ends of streams, three times Ctrl-C.

import Foundation
import Glibc
import Support
import Testing

@testable import Devices

private final class Listener: ConsoleClient {
    var reads: [String] = []

    func consoleInput(_ bytes: [UInt8]) { reads.append(String(decoding: bytes, as: UTF8.self)) }
    func consoleWindowChanged() {}
}

/// A backend between two pipes.
private final class PipeRig {
    let input: TestPipe
    let output: TestPipe
    let clock = ManualClock()
    let loop: EventLoop
    let backend: TerminalBackend
    let listener = Listener()
    var interrupts = 0
    var warnings: [String] = []
    var notices: [String] = []

    init() throws {
        input = try TestPipe()
        output = try TestPipe()
        loop = try EventLoop(clock: clock)
        backend = TerminalBackend(input: input.reader, output: output.writer, eventLoop: loop, clock: clock)
        backend.onUserInterrupt = { [weak self] in self?.interrupts += 1 }
        backend.onWarning = { [weak self] in self?.warnings.append($0) }
        backend.onNotice = { [weak self] in self?.notices.append($0) }
        backend.start(client: listener)
    }

    /// Types `text` at `milliseconds` from the start of time.
    func type(_ text: String, at milliseconds: UInt64 = 0) {
        let now = clock.monotonicNanoseconds()
        clock.advance(nanoseconds: milliseconds * 1_000_000 - min(now, milliseconds * 1_000_000))
        input.write(text)
        loop.poll()
    }
}

@Suite("Terminal backend on pipes")
struct TerminalBackendTests {
    @Test("one read for each piece of input, and output as it is")
    func bytes() throws {
        let rig = try PipeRig()
        #expect(rig.backend.windowSize == nil)
        rig.type("one")
        rig.type("two\n")
        #expect(rig.listener.reads == ["one", "two\n"])
        rig.backend.write([0x61, 0x0A, 0x80])
        #expect(HostIO.read(rig.output.reader, limit: 10) == .bytes([0x61, 0x0A, 0x80]))
    }

    @Test("the end of input is noticed once, and nothing spins")
    func endOfInput() throws {
        let rig = try PipeRig()
        rig.type("last")
        rig.input.closeWriter()
        #expect(rig.loop.poll())
        #expect(!rig.loop.poll(), "the descriptor is no longer looked at")
        #expect(rig.listener.reads == ["last"])
        #expect(rig.notices.count == 1)
        rig.backend.write([0x61])
        #expect(rig.output.read() == "a")
    }

    @Test("a file as input ends like a pipe")
    func file() throws {
        let descriptor = open("/dev/null", O_RDONLY)
        defer { close(descriptor) }
        let loop = try EventLoop(clock: SystemClock())
        let pipe = try TestPipe()
        let backend = TerminalBackend(
            input: descriptor, output: pipe.writer, eventLoop: loop, clock: SystemClock())
        let listener = Listener()
        backend.start(client: listener)
        #expect(loop.poll())
        #expect(!loop.poll())
    }

    @Test("pausing leaves input where it is")
    func pause() throws {
        let rig = try PipeRig()
        rig.backend.pauseInput()
        rig.type("later")
        #expect(rig.listener.reads.isEmpty)
        rig.backend.resumeInput()
        rig.loop.poll()
        #expect(rig.listener.reads == ["later"])
        rig.backend.stop()
        rig.backend.stop()
        rig.type("never")
        #expect(rig.listener.reads == ["later"])
    }

    @Test("much output is written in full to a slow reader")
    func slowReader() throws {
        let rig = try PipeRig()
        let reader = rig.output.reader
        let size = 1_000_000
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            var total = 0
            while total < size, case .bytes(let bytes) = HostIO.read(reader, limit: 3000) {
                total += bytes.count
            }
            done.signal()
        }
        rig.backend.write([UInt8](repeating: 0x78, count: size))
        #expect(done.wait(timeout: .now() + 30) == .success, "all of it arrived")
        #expect(rig.warnings.isEmpty)
    }

    @Test("an output that nobody reads any more is warned of once")
    func brokenPipe() throws {
        let clock = SystemClock()
        let loop = try EventLoop(clock: clock)
        let input = try TestPipe()
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let backend = TerminalBackend(input: input.reader, output: ends[1], eventLoop: loop, clock: clock)
        var warnings = 0
        backend.onWarning = { _ in warnings += 1 }
        let listener = Listener()
        backend.start(client: listener)
        close(ends[0])
        for _ in 0..<3 { backend.write([0x61]) }
        #expect(warnings == 1)
        close(ends[1])
    }

    @Test("while the output is stuck the keys are read, and three Ctrl-C free it")
    func stuck() throws {
        let rig = try PipeRig()
        rig.input.write("\u{3}")
        // One read for each key, although they are all there at once: a reader thread is not needed when the
        // keys come one by one, so a callback types the next.
        var left = 2
        let typist = Typist { [weak rig] in
            if left > 0 { rig?.input.write("\u{3}") }
            left -= 1
        }
        rig.backend.client = typist
        rig.backend.write([UInt8](repeating: 0x78, count: 1_000_000))
        #expect(rig.interrupts == 1)
        #expect(typist.reads == 3)
    }
}

private final class Typist: ConsoleClient {
    var reads = 0
    let next: () -> Void

    init(next: @escaping () -> Void) { self.next = next }

    func consoleInput(_ bytes: [UInt8]) {
        reads += 1
        next()
    }

    func consoleWindowChanged() {}
}

@Suite("Three times Ctrl-C")
struct InterruptKeyTests {
    @Test("three single ones within a second, and the guest gets them")
    func three() throws {
        let rig = try PipeRig()
        rig.type("\u{3}", at: 100)
        rig.type("\u{3}", at: 200)
        #expect(rig.interrupts == 0)
        rig.type("\u{3}", at: 300)
        #expect(rig.interrupts == 1)
        #expect(rig.listener.reads == ["\u{3}", "\u{3}", "\u{3}"])
    }

    @Test("whole seconds are compared: the third may come in the second after the first")
    func seconds() throws {
        let late = try PipeRig()
        for time: UInt64 in [0, 1500, 1999] { late.type("\u{3}", at: time) }
        #expect(late.interrupts == 1)
        let tooLate = try PipeRig()
        for time: UInt64 in [999, 1500, 2000] { tooLate.type("\u{3}", at: time) }
        #expect(tooLate.interrupts == 0)
        for time: UInt64 in [2100, 2200] { tooLate.type("\u{3}", at: time) }
        #expect(tooLate.interrupts == 0, "counting starts anew after three")
        tooLate.type("\u{3}", at: 2300)
        #expect(tooLate.interrupts == 1)
    }

    @Test("anything else in between starts anew, also two at once")
    func interrupted() throws {
        let rig = try PipeRig()
        for text in [
            "\u{3}", "\u{3}", "x", "\u{3}", "\u{3}", "\u{3}\u{3}", "\u{3}\u{3}\u{3}", "\u{3}", "\u{3}",
        ] {
            rig.type(text)
        }
        #expect(rig.interrupts == 0)
        rig.type("\u{3}")
        #expect(rig.interrupts == 1)
    }
}

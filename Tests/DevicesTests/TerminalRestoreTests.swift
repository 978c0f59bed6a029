// SPDX-License-Identifier: Apache-2.0
//
// The terminal is put back on every way out. Each way is tried by a process of its own on a
// pseudo-terminal, whose modes are looked at before, during and after.

import CHost
import Glibc
import Support
import Testing

@testable import Devices

/// A pseudo-terminal: `main` is the user's end, `path` names the other.
final class PseudoTerminal {
    let main: Int32
    let terminal: Int32
    let path: String

    init() throws {
        // openpty by hand: TIOCSPTLCK unlocks the other end, TIOCGPTN gives its number (ioctl_tty(2)).
        main = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var number: Int32 = 0
        try #require(main >= 0 && ioctl(main, 0x4004_5431, &number) == 0)
        try #require(ioctl(main, 0x8004_5430, &number) == 0)
        path = "/dev/pts/\(number)"
        terminal = open(path, O_RDWR | O_NOCTTY)
        try #require(terminal >= 0)
    }

    deinit {
        close(main)
        close(terminal)
    }

    /// Local modes as they are now.
    var localModes: tcflag_t { modes(of: terminal).c_lflag }
}

private func modes(of descriptor: Int32) -> termios {
    var modes = termios()
    tcgetattr(descriptor, &modes)
    return modes
}

private let rawBits = tcflag_t(ISIG | ICANON | ECHO)

/// In the child: opens the terminal, starts a backend on it, and ends the process if that did not make it
/// raw.
private func startRaw(on path: String) -> TerminalBackend? {
    let descriptor = open(path, O_RDWR | O_NOCTTY)
    let clock = SystemClock()
    guard descriptor >= 0, let loop = try? EventLoop(clock: clock) else { _exit(77) }
    let backend = TerminalBackend(input: descriptor, output: descriptor, eventLoop: loop, clock: clock)
    let console = VirtioConsole(backend: backend)
    console.start()
    if modes(of: descriptor).c_lflag & rawBits != 0 { _exit(78) }
    // A marker that outlives the process: the parent sees that raw mode was really on.
    backend.write([UInt8]("raw".utf8))
    return backend
}

@Suite("The terminal is put back", .serialized)
struct TerminalRestoreTests {
    private func check(_ pty: PseudoTerminal, before: tcflag_t) {
        #expect(before & rawBits == rawBits)
        #expect(pty.localModes == before)
        #expect(HostIO.read(pty.main, limit: 3) == .bytes([UInt8]("raw".utf8)))
    }

    @Test("when the backend stops")
    func stop() async throws {
        let pty = try PseudoTerminal()
        let before = pty.localModes
        let path = pty.path
        await #expect(processExitsWith: .success) { [path = path as String] in
            let backend = startRaw(on: path)
            backend?.stop()
            let descriptor = open(path, O_RDWR | O_NOCTTY)
            // _exit: nothing but `stop` may have done it.
            _exit(modes(of: descriptor).c_lflag & rawBits == rawBits ? 0 : 1)
        }
        check(pty, before: before)
    }

    @Test("by exit()")
    func exits() async throws {
        let pty = try PseudoTerminal()
        let before = pty.localModes
        let path = pty.path
        await #expect(processExitsWith: .exitCode(3)) { [path = path as String] in
            let backend = startRaw(on: path)
            withExtendedLifetime(backend) { exit(3) }
        }
        check(pty, before: before)
    }

    @Test(
        "by signals that end or crash",
        arguments: [
            SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV, SIGABRT, SIGILL, SIGBUS, SIGFPE, SIGTRAP,
        ])
    func signals(number: Int32) async throws {
        let pty = try PseudoTerminal()
        let before = pty.localModes
        let path = pty.path
        await #expect(processExitsWith: .signal(number)) {
            [path = path as String, number = number as Int32] in
            let backend = startRaw(on: path)
            withExtendedLifetime(backend) {
                kill(getpid(), number)
                sleep(5)
            }
        }
        check(pty, before: before)
    }

    @Test("by a real crash of Swift code")
    func crash() async throws {
        let pty = try PseudoTerminal()
        let before = pty.localModes
        let path = pty.path
        await #expect(processExitsWith: .failure) { [path = path as String] in
            let backend = startRaw(on: path)
            withExtendedLifetime(backend) { fatalError("on purpose") }
        }
        check(pty, before: before)
    }

    @Test("a change of the window is told")
    func window() async throws {
        let pty = try PseudoTerminal()
        let path = pty.path
        await #expect(processExitsWith: .success) { [path = path as String] in
            let descriptor = open(path, O_RDWR | O_NOCTTY)
            var size = winsize(ws_row: 25, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
            _ = ioctl(descriptor, UInt(TIOCSWINSZ), &size)
            let clock = SystemClock()
            guard let loop = try? EventLoop(clock: clock) else { exit(70) }
            let backend = TerminalBackend(
                input: descriptor, output: descriptor, eventLoop: loop, clock: clock)
            let watcher = WindowWatcher()
            backend.start(client: watcher)
            guard backend.windowSize == ConsoleWindowSize(columns: 80, rows: 25) else { exit(71) }
            size.ws_col = 132
            _ = ioctl(descriptor, UInt(TIOCSWINSZ), &size)
            // To the process: the threads of the pool, where tests run, block such signals.
            kill(getpid(), SIGWINCH)
            loop.wait(timeoutNanoseconds: 5_000_000_000)
            guard watcher.changes == 1, backend.windowSize?.columns == 132 else { exit(72) }
            exit(0)
        }
    }

    @Test("keys go through unchanged, Ctrl-C and all")
    func keys() async throws {
        await #expect(processExitsWith: .exitCode(42)) {
            let clock = SystemClock()
            guard let pty = try? PseudoTerminal(), let loop = try? EventLoop(clock: clock) else { exit(70) }
            let backend = TerminalBackend(
                input: pty.terminal, output: pty.terminal, eventLoop: loop, clock: clock)
            let watcher = WindowWatcher()
            backend.onUserInterrupt = { exit(watcher.typed == [26, 28, 3, 3] ? 42 : 73) }
            backend.start(client: watcher)
            for key: UInt8 in [26, 28, 3, 3, 3] {
                _ = HostIO.write(pty.main, [key], from: 0, limit: 1)
                loop.wait(timeoutNanoseconds: 2_000_000_000)
            }
            exit(74)
        }
    }
}

private final class WindowWatcher: ConsoleClient {
    var changes = 0
    var typed: [UInt8] = []

    func consoleInput(_ bytes: [UInt8]) { typed += bytes }
    func consoleWindowChanged() { changes += 1 }
}

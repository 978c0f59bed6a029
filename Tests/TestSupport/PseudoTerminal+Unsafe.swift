// SPDX-License-Identifier: Apache-2.0
//
// A terminal that a test plays: what a program writes to it, and its size.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public final class PseudoTerminal {
    private let master: Int32
    private var slave: Int32
    /// What was written to it so far.
    public private(set) var text = ""

    /// Nil when the host has no pseudo terminals.
    public init?(columns: UInt16, rows: UInt16) {
        // openpty by hand: TIOCSPTLCK unlocks the other end, TIOCGPTN gives its number (ioctl_tty(2)).
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var unlocked: Int32 = 0
        var number: UInt32 = 0
        guard master >= 0, ioctl(master, 0x4004_5431, &unlocked) == 0,
            ioctl(master, 0x8004_5430, &number) == 0
        else { return nil }
        slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        resize(columns: columns, rows: rows)
    }

    deinit {
        close(master)
        if slave >= 0 { close(slave) }
    }

    public func resize(columns: UInt16, rows: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    }

    /// Starts a program on it.
    public func run(_ program: String, _ words: [String]) throws -> Process {
        let process = Process()
        let end = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        process.standardInput = end
        process.standardOutput = end
        process.standardError = end
        try process.run()
        close(slave)
        slave = -1
        return process
    }

    /// Reads until `mark` was written; false at the end.
    public func wait(for mark: String) -> Bool {
        while !text.contains(mark) { if !readMore() { return false } }
        return true
    }

    /// Reads to the end.
    public func drain() { while readMore() {} }

    private func readMore() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(master, &buffer, buffer.count)
        guard count > 0 else { return false }
        text += String(decoding: buffer.prefix(count), as: UTF8.self)
        return true
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Where text goes: through the virtio driver when it runs, through the emergency register before that.

enum Console {
    nonisolated(unsafe) static var useDriver = false

    static func write(_ byte: UInt8) {
        if useDriver {
            VirtioConsole.write(byte)
        } else {
            EarlyConsole.write(byte)
        }
    }

    static func write(_ text: Text) {
        for position in 0..<text.count { write(text[position]) }
    }

    static func flush() {
        if useDriver { VirtioConsole.flush() }
    }

    /// Changes from one way to the other, losing nothing.
    static func switchTo(driver: Bool) {
        flush()
        useDriver = driver
    }
}

/// Prints a line.
@inline(never) func say(_ text: Text = "") {
    Console.write(text)
    Console.write(0x0A)
}

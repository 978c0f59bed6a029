// SPDX-License-Identifier: Apache-2.0
//
// Lets a screen follow what the guest writes on its console, for the monitor's `screen`.

import Devices
import Monitor

final class ScreenConsole: ConsoleBackend {
    private let inner: any ConsoleBackend
    private let screen: TerminalScreen

    init(_ inner: any ConsoleBackend, _ screen: TerminalScreen) {
        self.inner = inner
        self.screen = screen
    }

    var windowSize: ConsoleWindowSize? { inner.windowSize }
    func start(client: any ConsoleClient) { inner.start(client: client) }
    func stop() { inner.stop() }
    func pauseInput() { inner.pauseInput() }
    func resumeInput() { inner.resumeInput() }

    func write(_ bytes: [UInt8]) {
        screen.write(bytes)
        inner.write(bytes)
    }
}

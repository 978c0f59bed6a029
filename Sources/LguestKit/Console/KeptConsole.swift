// SPDX-License-Identifier: Apache-2.0
//
// A console that outlives its machine: a guest that restarts keeps its terminal, socket or file open, and
// what is typed meanwhile waits. Nothing has to be opened again, which a confined process could not do.

import Devices

final class KeptConsole {
    private let inner: any ConsoleBackend
    private weak var client: (any ConsoleClient)?
    private var isStarted = false

    init(_ inner: any ConsoleBackend) { self.inner = inner }

    /// Opens what there is to open, before there is a machine.
    func open() {
        if !isStarted { inner.start(client: self) }
        isStarted = true
    }

    /// The last machine is gone.
    func end() {
        inner.stop()
        isStarted = false
    }
}

extension KeptConsole: ConsoleBackend {
    var windowSize: ConsoleWindowSize? { inner.windowSize }

    func start(client: any ConsoleClient) {
        self.client = client
        open()
        // The machine before may have had no room for what was typed last.
        inner.resumeInput()
    }

    /// The machine is done with it; the next one may come.
    func stop() { client = nil }

    func write(_ bytes: [UInt8]) { inner.write(bytes) }
    func pauseInput() { inner.pauseInput() }
    func resumeInput() { inner.resumeInput() }
}

extension KeptConsole: ConsoleClient {
    func consoleInput(_ bytes: [UInt8]) { client?.consoleInput(bytes) }
    func consoleWindowChanged() { client?.consoleWindowChanged() }
}

// SPDX-License-Identifier: Apache-2.0
//
// A console backend in memory: for tests, and for programs that run a guest without a terminal.

/// Collects output; input comes from `type`.
public final class BufferBackend: ConsoleBackend {
    /// Everything written so far.
    public private(set) var output: [UInt8] = []
    /// Whether the client has asked for a pause.
    public private(set) var isPaused = false
    /// Called after each write, when somebody waits for the guest to say something.
    public var onOutput: (([UInt8]) -> Void)?
    /// Setting it tells the client, as a resized window would. Start with nil for no window.
    public var windowSize: ConsoleWindowSize? {
        didSet { client?.consoleWindowChanged() }
    }

    private weak var client: (any ConsoleClient)?
    /// Typed while there was no client, or during a pause.
    private var held: [[UInt8]] = []

    public init(windowSize: ConsoleWindowSize? = nil) {
        self.windowSize = windowSize
    }

    /// The output so far as text.
    public var text: String { String(decoding: output, as: UTF8.self) }

    /// Types `text`, as one piece of input.
    public func type(_ text: String) { type([UInt8](text.utf8)) }

    /// Types `bytes`, as one piece of input.
    public func type(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        held.append(bytes)
        deliver()
    }

    public func start(client: any ConsoleClient) {
        self.client = client
        deliver()
    }

    public func stop() { client = nil }

    public func write(_ bytes: [UInt8]) {
        output += bytes
        onOutput?(bytes)
    }

    public func pauseInput() { isPaused = true }

    public func resumeInput() {
        isPaused = false
        deliver()
    }

    private func deliver() {
        while !isPaused, !held.isEmpty, let client {
            client.consoleInput(held.removeFirst())
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// One terminal for two consoles of a guest: the serial port, which a kernel has from its first line, and the
// virtio console, which it may use later. Both print; what is typed goes to the virtio console once the guest has
// printed there, and to the serial port before.

/// A backend for the virtio console that the serial port shares.
public final class ConsoleSwitch: ConsoleBackend, ConsoleClient {
    private let backend: any ConsoleBackend
    private weak var client: (any ConsoleClient)?
    private var usesVirtio = false
    /// Whether nothing is typed for the serial port: what comes too early waits for the virtio console.
    private let waitsForVirtio: Bool
    private var early: [UInt8] = []
    private static let earlyLimit = 4096
    /// Gets what is typed for the serial port.
    public var serialInput: ([UInt8]) -> Void = { _ in }

    public init(_ backend: any ConsoleBackend, waitsForVirtio: Bool = false) {
        self.backend = backend
        self.waitsForVirtio = waitsForVirtio
    }

    /// Prints what came over the serial port.
    public func serialWrite(_ bytes: [UInt8]) { backend.write(bytes) }

    public var windowSize: ConsoleWindowSize? { backend.windowSize }

    public func start(client: any ConsoleClient) {
        self.client = client
        backend.start(client: self)
    }

    public func stop() { backend.stop() }

    public func write(_ bytes: [UInt8]) {
        backend.write(bytes)
        guard !usesVirtio else { return }
        usesVirtio = true
        if !early.isEmpty { client?.consoleInput(early) }
        early = []
    }

    public func pauseInput() { backend.pauseInput() }
    public func resumeInput() { backend.resumeInput() }

    public func consoleInput(_ bytes: [UInt8]) {
        if usesVirtio {
            client?.consoleInput(bytes)
        } else if waitsForVirtio {
            early += bytes.prefix(Self.earlyLimit - early.count)
        } else {
            serialInput(bytes)
        }
    }

    public func consoleWindowChanged() { client?.consoleWindowChanged() }
}

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
    /// Gets what is typed for the serial port.
    public var serialInput: ([UInt8]) -> Void = { _ in }

    public init(_ backend: any ConsoleBackend) { self.backend = backend }

    /// Prints what came over the serial port.
    public func serialWrite(_ bytes: [UInt8]) { backend.write(bytes) }

    public var windowSize: ConsoleWindowSize? { backend.windowSize }

    public func start(client: any ConsoleClient) {
        self.client = client
        backend.start(client: self)
    }

    public func stop() { backend.stop() }

    public func write(_ bytes: [UInt8]) {
        usesVirtio = true
        backend.write(bytes)
    }

    public func pauseInput() { backend.pauseInput() }
    public func resumeInput() { backend.resumeInput() }

    public func consoleInput(_ bytes: [UInt8]) {
        if usesVirtio { client?.consoleInput(bytes) } else { serialInput(bytes) }
    }

    public func consoleWindowChanged() { client?.consoleWindowChanged() }
}

// SPDX-License-Identifier: Apache-2.0
//
// The console: two queues of bytes, one each way (virtio 1.0, clause 5.3), and a register by which a
// kernel prints a letter before it has anything else. What is at the other end is a `ConsoleBackend`.

/// A virtio console with one port. Belongs to the thread of the virtual CPU.
public final class VirtioConsole {
    enum Queue {
        static let receive = 0
        static let transmit = 1
    }

    /// Bytes of input kept for a guest that has no buffer ready; then the backend is told to wait.
    public static let inputLimit = 65536
    /// The queue size of the reference launcher (lguest ABI 9.3).
    private static let queueSize: UInt16 = 256
    /// How long a driver that has said it is ready is left alone: so many turns of the event loop, so far apart. Turns,
    /// because on a busy host a guest may not have run at all in any given time.
    private static let settlingTurns = 5
    private static let settlingPause: UInt64 = 10_000_000

    let backend: any ConsoleBackend
    var activation: VirtioActivation?
    /// Input that no guest buffer was there for.
    var pendingInput: ArraySlice<UInt8> = []
    var inputPaused = false
    private let eventLoop: EventLoop?
    private let tellsWindowSize: Bool
    /// Whether the driver can take changes of the configuration.
    var isSettled = false
    private var settling: EventLoop.Timer?

    /// A console that talks to `backend`. Call `start` once the machine stands. Without `eventLoop` a driver is told of
    /// the window's size as soon as it says that it is ready; without `tellsWindowSize` it never is.
    public init(
        backend: any ConsoleBackend, eventLoop: EventLoop? = nil, tellsWindowSize: Bool = true
    ) {
        self.backend = backend
        self.eventLoop = eventLoop
        self.tellsWindowSize = tellsWindowSize
    }
}

extension VirtioFeatures {
    /// Clause 5.3.3: the window's size is in the configuration.
    public static let consoleSize = VirtioFeatures(bit: 0)
    /// Clause 5.3.3: the emergency write register exists.
    public static let consoleEmergencyWrite = VirtioFeatures(bit: 2)
}

extension VirtioConsole: VirtioDevice {
    public var name: String { "console" }
    public var deviceID: UInt16 { 3 }
    public var queueSizes: [UInt16] { [Self.queueSize, Self.queueSize] }

    public var offeredFeatures: VirtioFeatures {
        backend.windowSize == nil || !tellsWindowSize
            ? .consoleEmergencyWrite : [.consoleEmergencyWrite, .consoleSize]
    }

    /// Clause 5.3.4: u16 columns, u16 rows, u32 number of ports (0: one), u32 emergency write.
    public var configuration: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 12)
        if let window = backend.windowSize {
            bytes.setLittleEndian(UInt64(window.columns), at: 0, width: 2)
            bytes.setLittleEndian(UInt64(window.rows), at: 2, width: 2)
        }
        return bytes
    }

    /// Nothing but its queues.
    public var fields: [VirtioField]? { [] }

    /// Whatever touches the first byte of the emergency register prints that byte, at once, in any state.
    public func writeConfiguration(offset: Int, width: Int, value: UInt32) {
        let register = 8
        guard offset <= register, offset + width > register else { return }
        backend.write([UInt8(truncatingIfNeeded: value >> UInt32((register - offset) * 8))])
    }

    public func activate(_ activation: VirtioActivation) {
        self.activation = activation
        if let settling { eventLoop?.cancel(settling) }
        if activation.features.contains(.consoleSize) { settle(turns: Self.settlingTurns) }
    }

    /// Linux reads the window's size only when it is told of a change, so it is told once. But not at once: its driver
    /// says that it is ready before it has prepared for changes.
    private func settle(turns: Int) {
        if turns > 0, let eventLoop {
            settling = eventLoop.schedule(afterNanoseconds: Self.settlingPause) { [weak self] in
                self?.settle(turns: turns - 1)
            }
            return
        }
        settling = nil
        isSettled = true
        if backend.windowSize != nil { consoleWindowChanged() }
    }

    public func queueNotified(_ index: Int) {
        switch index {
        case Queue.receive: deliverInput()
        case Queue.transmit: transmit()
        default: break
        }
    }

    /// The guest may come back (a reboot, another driver): what was typed meanwhile is kept.
    public func reset() {
        activation = nil
        isSettled = false
        if let settling { eventLoop?.cancel(settling) }
        settling = nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The human (or file, or test) end of a console. Backends know nothing of virtio: they take bytes, give
// bytes, and may have a window.

/// The size of a terminal window in characters.
public struct ConsoleWindowSize: Equatable, Sendable {
    public var columns: UInt16
    public var rows: UInt16

    public init(columns: UInt16, rows: UInt16) {
        self.columns = columns
        self.rows = rows
    }
}

/// Whoever wants to know what is typed.
public protocol ConsoleClient: AnyObject {
    /// `bytes` were typed; they came from the host in one piece. Not empty.
    func consoleInput(_ bytes: [UInt8])
    /// `windowSize` has changed.
    func consoleWindowChanged()
}

/// Where a console's bytes go to and come from. Everything happens on the thread of the event loop.
public protocol ConsoleBackend: AnyObject {
    /// The window's size; nil when there is no window. Whether it is nil never changes.
    var windowSize: ConsoleWindowSize? { get }
    /// Input for `client` from now on. The client is not kept alive.
    func start(client: any ConsoleClient)
    /// Puts the host's terminal back as it was and stops input. May be called twice.
    func stop()
    /// Writes all of `bytes`, in order. While it waits for a slow reader it may call `consoleInput`.
    func write(_ bytes: [UInt8])
    /// The client has no room: no `consoleInput` until `resumeInput`, except what was read already.
    func pauseInput()
    func resumeInput()
}

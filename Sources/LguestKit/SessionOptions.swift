// SPDX-License-Identifier: Apache-2.0
//
// What a run is like beyond the machine itself: where its console is, how long it may take, what the
// process gives up before the guest's first instruction.

/// How a machine is run by this process.
public struct SessionOptions: Sendable {
    /// The guest's name, in messages and in the host's list of processes.
    public var name: String?
    public var console = ConsoleTarget.stdio
    public var logLevel = LogLevel.warning
    /// After so many seconds the guest is ended; nil for never.
    public var timeoutSeconds: Double?
    /// Whether a guest that reboots is started again.
    public var restarts = true
    /// Whose rights lguest keeps, and where its root is, once everything is open.
    public var username: String?
    public var chroot: String?
    /// Whether this process is confined, for ever, before the guest's first instruction (`Sandbox`). Off unless
    /// asked for: a program that embeds a guest may have other things to do.
    public var isSandboxed = false
    /// Closed before the guest's first instruction: what the process was given and nobody needs.
    public var unneededDescriptors: [Int32] = []

    /// Where a debugger may connect; nil for nowhere.
    public var debugger: DebuggerOption?

    /// Whether the guest has a control socket, by which `lguest ps` and `lguest monitor` find it.
    public var hasControlSocket = false
    /// A file for the guest's memory and registers if it dies, as an ELF core; nil for none.
    public var corePath: String?

    public init() {}
}

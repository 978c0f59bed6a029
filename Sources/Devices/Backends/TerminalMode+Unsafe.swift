// SPDX-License-Identifier: Apache-2.0
//
// The terminal functions of CHost with Swift's types.

import CHost

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The host's terminal as a device, and its raw mode, of which a process has one.
enum TerminalMode {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Raw mode until `leave` or the end of the process (`lguest_terminal_enter`); nil or the reason why not.
    static func enter(_ descriptor: Int32, event: Int32) -> String? {
        let reason = lguest_terminal_enter(descriptor, event)
        return reason == 0 ? nil : HostIO.message(reason)
    }

    static func leave() { lguest_terminal_leave() }

    /// Raw mode now, if only the background was in the way.
    static func retry() { lguest_terminal_retry() }

    /// Lets output go on that the user has stopped with Ctrl-S.
    static func restartOutput() { lguest_terminal_restart_output() }

    /// Whether reading would not get the process stopped by job control.
    static func inForeground(_ descriptor: Int32) -> Bool { lguest_terminal_in_foreground(descriptor) != 0 }

    /// The window of `descriptor`, or nil when it is no terminal.
    static func windowSize(_ descriptor: Int32) -> ConsoleWindowSize? {
        var size = ConsoleWindowSize(columns: 0, rows: 0)
        // SAFETY: the function writes two 16-bit integers, which is what it is given.
        return lguest_terminal_window_size(descriptor, &size.columns, &size.rows) == 0 ? size : nil
    }

    static func watchWindow(event: Int32) { lguest_terminal_watch_window(event) }

    static func ignoreBrokenPipes() { lguest_ignore_sigpipe() }

    /// A non-blocking descriptor for the same terminal, or nil where the host does not allow it.
    static func reopenNonBlocking(_ descriptor: Int32) -> Int32? {
        let copy = lguest_reopen_nonblocking(descriptor)
        return copy < 0 ? nil : copy
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A signal as an event like others: its handler only raises an event descriptor, and the loop calls who wants to
// know.

import CHost
import Support

/// Calls a handler from an event loop after each arrival of a signal (or several in one), as long as it lives. One for
/// each signal of the process.
public final class SignalSource {
    private let number: Int32
    private let descriptor: Int32
    private let eventLoop: EventLoop
    private let source: EventLoop.Source

    /// Throws where the host gives no descriptor, or no handler for that signal.
    public init(
        signal number: Int32, eventLoop: EventLoop, handler: @escaping () -> Void
    ) throws(LguestError) {
        let descriptor = HostIO.makeEventDescriptor()
        guard descriptor >= 0 else {
            throw LguestError(.host, "cannot make an event descriptor: \(HostIO.message(-descriptor))")
        }
        let reason = lguest_signal_event(number, descriptor)
        guard reason == 0 else {
            HostIO.close(descriptor)
            throw LguestError(.host, "cannot handle signal \(number): \(HostIO.message(reason))")
        }
        self.number = number
        self.descriptor = descriptor
        self.eventLoop = eventLoop
        source = eventLoop.register(descriptor: descriptor) {
            HostIO.drain(descriptor)
            handler()
        }
    }

    deinit {
        _ = lguest_signal_event(number, -1)
        eventLoop.unregister(source)
        HostIO.close(descriptor)
    }
}

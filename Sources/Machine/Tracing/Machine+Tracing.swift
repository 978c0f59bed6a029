// SPDX-License-Identifier: Apache-2.0

import Devices
import Tap
import Trace

extension Machine {
    /// The recorder of this machine. Its categories may be changed while the guest runs.
    public var tap: TraceTap { storage.tap }

    /// Lets buses and devices tell the tap.
    func connectTap() {
        let tap = storage.tap
        tap.clock = clock
        environment.ports.tap = tap
        environment.mmio.tap = tap
        for transport in bus.transports { transport.tap = tap }
        for transport in devicePage?.transports ?? [] { transport.tap = tap }
    }

    /// Names for a trace.
    var guestNames: GuestNames {
        let (symbols, observer) = (symbols, observer)
        let names = GuestNames(
            NameSources(symbol: { symbols.lookup($0) }, task: { observer.taskName($0) }))
        symbols.onFound = { [weak names, weak observer] in
            names?.forgetPlaces()
            observer?.forget()
        }
        return names
    }

    /// Looks after the host's side of the devices. True when there was something to do.
    func poll() -> Bool {
        let tap = storage.tap
        guard tap.wants(.idle) else { return eventLoop.poll() }
        tap.isHostSide = true
        let mark = tap.begin(.hostPoll)
        defer { tap.isHostSide = false }
        guard eventLoop.poll() else {
            tap.cancel(mark)
            return false
        }
        tap.end(mark)
        return true
    }
}

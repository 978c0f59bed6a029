// SPDX-License-Identifier: Apache-2.0
//
// Joins the processor to the buses, the clock and the CPUID profile.

import Devices
import GuestInterfaces
import Support
import X86

final class MachineEnvironment: CPUEnvironment {
    let ports: PortBus
    let mmio = MMIOBus()
    let clock: any HostClock
    /// The guest's time-stamp counter runs at 1 GHz: one tick is one nanosecond of the monotonic clock, so
    /// that it agrees with the wall clock in the shared page for ever.
    let tscKHz: UInt32 = 1_000_000
    var timestamp: GuestTimestamp
    /// The processor that this surrounds; valid while the machine lives.
    var cpu: CPU?
    /// Time that the host has not given to the guest, in nanoseconds since the start.
    var stolenTime: () -> UInt64 = { 0 }
    /// The guest interface, where it decides about the processor; the machine keeps it alive.
    weak var identity: (any ProcessorIdentity)?

    init(clock: any HostClock, isPC: Bool = false) {
        self.clock = clock
        ports = PortBus(hasStuckKeyboard: !isPC)
        timestamp = GuestTimestamp(clock: clock)
    }

    func mmioRead(_ address: UInt64, width: Int) -> UInt64 {
        inDevices { mmio.read(address: address, width: width) }
    }

    func mmioWrite(_ address: UInt64, width: Int, value: UInt64) {
        inDevices { mmio.write(address: address, width: width, value: value) }
    }

    func portRead(_ port: UInt16, width: Int) -> UInt32 {
        inDevices { ports.read(port: port, width: width) }
    }

    func portWrite(_ port: UInt16, width: Int, value: UInt32) {
        inDevices { ports.write(port: port, width: width, value: value) }
    }

    /// For the samples of host time.
    @inline(__always)
    private func inDevices<T>(_ body: () -> T) -> T {
        guard let cpu else { return body() }
        let before = cpu.system.activity
        cpu.system.activity = Activity.devices
        defer { cpu.system.activity = before }
        return body()
    }

    func timestampCounter() -> UInt64 { timestamp.value(clock) }

    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult {
        identity?.cpuid(leaf: leaf, subleaf: subleaf) ?? CPUIDProfile.result(leaf: leaf)
    }

    // An lguest guest has no model-specific registers beyond those of the core.
    func readMSR(_ index: UInt32) -> UInt64? { identity?.readMSR(index) }
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { identity?.writeMSR(index, value) ?? false }
}

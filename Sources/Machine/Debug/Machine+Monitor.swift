// SPDX-License-Identifier: Apache-2.0
//
// The machine as the monitor sees it.

import Debug
import Devices
import GuestInterfaces
import Monitor
import Trace

extension Machine: MonitoredGuest {
    public var status: GuestStatus {
        let seconds = Double(clock.monotonicNanoseconds() &- startTime) / 1e9
        return GuestStatus(
            state: control.holders.contains(.monitor)
                ? .paused
                : control.holders.contains(.debugger) ? .debugged : control.isHalted ? .halted : .running,
            kernel: kernelName, version: kernel.linuxVersion?.description, memoryBytes: memory.ramSize,
            uptimeSeconds: seconds, busySeconds: Double(busyNanoseconds) / 1e9,
            instructions: cpu.instructions,
            balloonBytes: balloon.map { UInt64($0.actualPages) << 12 })
    }

    public var statisticsObject: JSON { JSON(parsing: statistics(.json)) ?? .null }

    public var tasks: [MonitoredTask] {
        let list = TaskList(GuestView(self))
        let all = list.all()
        let current = list.current()
        guard all.contains(where: { $0.address != 0 }) else { return [] }
        return all.map { MonitoredTask(pid: $0.pid, name: $0.name, runs: $0 == current) }
    }

    private var balloon: VirtioBalloon? { devices.all.lazy.compactMap { $0 as? VirtioBalloon }.first }

    public func pause() { control.hold(.monitor) }
    public func unpause() { control.release(.monitor) }

    public func sendNMI() -> Bool {
        guard interface.canTakeNMI(cpu) else { return false }
        control.wantsNMI = true
        return true
    }

    public func setBalloon(bytes: UInt64) -> Bool {
        guard let balloon else { return false }
        balloon.targetPages = UInt32(clamping: bytes >> 12)
        return true
    }

    public func quit() { stop(.quit) }

    /// Told whenever the guest begins (true) or ceases to stand still.
    public func onHolding(_ handler: @escaping (Bool) -> Void) { control.onHolding = handler }
}

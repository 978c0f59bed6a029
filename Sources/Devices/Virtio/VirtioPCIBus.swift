// SPDX-License-Identifier: Apache-2.0
//
// Puts virtio devices onto the PCI bus one after the other, as the reference launcher numbers them
// (lguest ABI 5.6 and 9.1): slot and IRQ count from 1, so the device added first is in slot 1, which
// has to be the console.

import GuestMemory
import Support

/// The PCI bus of a machine and everything that devices need to be on it.
public final class VirtioPCIBus {
    /// The bus itself.
    public let host: PCIHost
    /// The devices, in slot order from slot 1.
    public private(set) var transports: [VirtioPCITransport] = []

    private let memory: GuestMemory
    private let interrupts: any InterruptLines
    private let mmio: MMIOBus
    private var nextBar: UInt64
    /// On a PC: the interrupt number to show in the configuration of the device in a slot.
    private let route: ((_ slot: Int) -> Int)?

    /// An empty bus that answers on `ports`; BARs start 1 MiB above `windowBase` (lguest ABI 9.2), which is
    /// the end of RAM when nil. On a PC, `route` says which interrupt a slot has.
    public init(
        memory: GuestMemory, interrupts: any InterruptLines, ports: PortBus, mmio: MMIOBus,
        windowBase: UInt64? = nil, route: ((_ slot: Int) -> Int)? = nil
    ) {
        self.route = route
        self.memory = memory
        self.interrupts = interrupts
        self.mmio = mmio
        nextBar = (windowBase ?? memory.size) + 0x10_0000
        host = PCIHost(portBus: ports, isPC: route != nil)
    }

    /// Adds `device` in the next slot. Fails when the 31 slots or the 32-bit addresses are used up.
    @discardableResult
    public func add(_ device: any VirtioDevice) throws(LguestError) -> VirtioPCITransport {
        let slot = transports.count + 1
        let length = UInt64(VirtioPCITransport.barLength(of: device))
        let base = (nextBar + length - 1) & ~(length - 1)
        guard base + length <= 1 << 32, slot < PCIHost.slotCount else {
            throw LguestError(.badInput, "no room for another device (\(device.name))", hint: "at most 31")
        }
        let transport = VirtioPCITransport(
            device: device, memory: memory, interrupts: interrupts, irq: slot, mmio: mmio,
            barBase: UInt32(base), pcInterrupt: route?(slot))
        try host.insert(transport, slot: slot)
        transports.append(transport)
        nextBar = base + length
        return transport
    }

    /// Resets every device, before the guest starts anew.
    public func reset() {
        for transport in transports { transport.reset() }
    }
}

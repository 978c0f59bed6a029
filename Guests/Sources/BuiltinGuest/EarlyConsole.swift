// SPDX-License-Identifier: Apache-2.0
//
// Output before there is a driver, page tables or interrupts: virtio consoles have an "emergency write"
// register, and the window in PCI configuration space reaches it with four port writes a character. Slow, but
// it works from the first line on, and when everything else is broken.

enum EarlyConsole {
    /// The console always sits in slot 1.
    static let slot: UInt32 = 1
    static let identity: UInt32 = 0x1043_1AF4

    /// Offset of the window's capability, 0 while unknown, and of the emergency register in the BAR.
    nonisolated(unsafe) private static var window: UInt32 = 0
    nonisolated(unsafe) private static var register: UInt32 = 0

    /// Looks for the way out; without one, output goes nowhere until the driver is up.
    static func find() {
        guard PCI.read32(slot, 0) == identity, let device = PCIDevice(slot: slot),
            let configuration = device.capability(.device), configuration.bar == 0,
            configuration.regionLength >= 12,
            let access = device.capability(.configurationAccess)
        else { return }
        window = access.offset
        register = configuration.regionOffset + 8
    }

    static func write(_ byte: UInt8) {
        guard window != 0 else { return }
        PCI.write8(slot, window + 4, 0)
        PCI.write32(slot, window + 12, 4)
        PCI.write32(slot, window + 8, register)
        PCI.write32(slot, window + 16, UInt32(byte))
    }
}

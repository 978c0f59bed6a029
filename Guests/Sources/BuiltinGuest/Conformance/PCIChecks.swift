// SPDX-License-Identifier: Apache-2.0
//
// PCI configuration space: the mechanism, the host bridge, and the console's registers and capabilities.
import Machine

enum PCIChecks {
    private static let console: UInt32 = 1

    static func run() {
        mechanism()
        absentDevices()
        header()
        sizing()
        capabilities()
        window()
    }

    private static func mechanism() {
        // This is how Linux decides that configuration mechanism 1 exists.
        instruction_out8(0xCFB, 1)
        let saved = instruction_in32(PCI.addressPort, 0)
        instruction_out32(PCI.addressPort, 0x8000_0000)
        Check.equal("pci/address-reads-back", instruction_in32(PCI.addressPort, 0), 0x8000_0000)
        instruction_out32(PCI.addressPort, saved)
        PCI.select(slot: console, register: 0)
        Check.equal("pci/address-bytes", instruction_in8(0xCF9, 0) & 0xFF, console << 3)
        Check.equal("pci/host-bridge-class", UInt32(PCI.read16(0, 0x0A)), 0x0600)
        Check.equal("pci/host-bridge-is-anonymous", UInt32(PCI.read16(0, 0)), 0)
    }

    private static func absentDevices() {
        Check.equal("pci/empty-slot", PCI.read32(31, 0), 0xFFFF_FFFF)
        PCI.select(slot: console, function: 1, register: 0)
        Check.equal("pci/no-second-function", instruction_in32(PCI.dataPort, 0), 0xFFFF_FFFF)
        PCI.select(bus: 1, slot: console, register: 0)
        Check.equal("pci/no-second-bus", instruction_in32(PCI.dataPort, 0), 0xFFFF_FFFF)
        instruction_out32(PCI.addressPort, console << 11)
        Check.equal("pci/nothing-without-enable-bit", instruction_in32(PCI.dataPort, 0), 0xFFFF_FFFF)
        PCI.write32(31, 0, 0x1234)
        Check.equal("pci/writes-to-nowhere-ignored", PCI.read32(31, 0), 0xFFFF_FFFF)
    }

    private static func header() {
        Check.equal("pci/console-identity", PCI.read32(console, 0), 0x1043_1AF4)
        Check.equal("pci/console-device-id-half", UInt32(PCI.read16(console, 2)), 0x1043)
        Check.equal("pci/console-vendor-low-byte", UInt32(PCI.read8(console, 0)), 0xF4)
        Check.equal("pci/console-vendor-high-byte", UInt32(PCI.read8(console, 1)), 0x1A)
        Check.equal("pci/status-has-capabilities", UInt32(PCI.read16(console, 6)), 0x10)
        Check.equal("pci/revision", UInt32(PCI.read8(console, 8)), 1)
        Check.equal("pci/class", UInt32(PCI.read16(console, 0x0A)), 0x0700)
        Check.equal("pci/subsystem", UInt32(PCI.read16(console, 0x2E)), 0x40)
        Check.equal("pci/interrupt-line", UInt32(PCI.read8(console, 0x3C)), 1)
        Check.equal("pci/interrupt-pin", UInt32(PCI.read8(console, 0x3D)), 0)
        PCI.write16(console, 0x04, 0x0007)
        Check.equal("pci/command-reads-zero", UInt32(PCI.read16(console, 0x04)), 0)
        PCI.write32(console, 0x00, 0)
        Check.equal("pci/identity-is-read-only", PCI.read32(console, 0), 0x1043_1AF4)
    }

    /// Writing ones to a base address register and reading back tells the size of what is behind it.
    private static func sizing() {
        let address = PCI.read32(console, 0x10)
        Check.that(
            "pci/bar-above-memory", UInt64(address & ~0xF) >= BootParameters.memorySize + 0x100000,
            "\(hex: address)")
        PCI.write32(console, 0x10, 0xFFFF_FFFF)
        let mask = PCI.read32(console, 0x10)
        PCI.write32(console, 0x10, address)
        Check.equal("pci/bar-restored", PCI.read32(console, 0x10), address)
        let size = ~(mask & ~0xF) &+ 1
        Check.that(
            "pci/bar-size", size >= 0x48 && size & (size - 1) == 0 && size <= 0x10_0000, "mask \(hex: mask)")
        Check.equal("pci/bar-aligned", address & (size - 1), 0)
        PCI.write32(console, 0x14, 0xFFFF_FFFF)
        PCI.write32(console, 0x14, 0)
        Check.equal("pci/second-bar-empty", PCI.read32(console, 0x14), 0)
    }

    private static func capabilities() {
        guard let device = PCIDevice(slot: console) else {
            Check.that("pci/capabilities", false, "no console")
            return
        }
        Check.equal("pci/capability-list", UInt32(PCI.read8(console, 0x34)), 0x40)
        region("pci/capability-common", device.capability(.common), 0x40, 0, 0x38)
        region("pci/capability-notify", device.capability(.notify), 0x50, 0x38, 2)
        region("pci/capability-isr", device.capability(.interruptStatus), 0x64, 0x3A, 1)
        region("pci/capability-device", device.capability(.device), 0x74, 0x3C, 12)
        Check.that("pci/capability-window", device.capability(.configurationAccess)?.offset == 0x84)
        Check.equal("pci/notify-multiplier", PCI.read32(console, 0x60), 0)
    }

    private static func region(
        _ name: StaticString, _ found: PCIDevice.Capability?, _ place: UInt32, _ offset: UInt32,
        _ length: UInt32
    ) {
        guard let found else {
            Check.that(name, false, "missing")
            return
        }
        Check.that(
            name,
            found.offset == place && found.bar == 0 && found.regionOffset == offset
                && found.regionLength == length,
            "at \(hex: found.offset), offset \(hex: found.regionOffset), length \(hex: found.regionLength)")
    }

    /// Device registers through configuration space.
    private static func window() {
        guard let device = PCIDevice(slot: console) else { return }
        let queues = VirtioDevice.Register.queueCount.rawValue
        Check.equal("pci/window-reads-halves", device.readWindow(queues, bytes: 2) ?? 0, 2)
        let status = VirtioDevice.Register.status.rawValue
        Check.equal("pci/window-reads-bytes", device.readWindow(status, bytes: 1) ?? 0, 0xF)
        let select = VirtioDevice.Register.deviceFeatureSelect.rawValue
        device.writeWindow(select, bytes: 4, 1)
        let features = device.readWindow(VirtioDevice.Register.deviceFeature.rawValue, bytes: 4) ?? 0
        Check.equal("pci/window-reads-words", features & 1, 1)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// PCI configuration space, by the oldest way there is: write the address of a register to port 0xCF8, then
// read or write it at 0xCFC. The ports are privileged instructions for ring 1; the hypervisor carries them
// out for us.
import Machine

enum PCI {
    static let addressPort: UInt16 = 0xCF8
    static let dataPort: UInt16 = 0xCFC

    /// Points the data port at a register. Bit 31 says that the data port shall mean configuration space at
    /// all.
    static func select(bus: UInt32 = 0, slot: UInt32, function: UInt32 = 0, register: UInt32) {
        let address = 1 << 31 | bus << 16 | slot << 11 | function << 8 | register & 0xFC
        instruction_out32(addressPort, address)
    }

    static func read32(_ slot: UInt32, _ register: UInt32) -> UInt32 {
        select(slot: slot, register: register)
        return instruction_in32(dataPort, 0)
    }

    static func read16(_ slot: UInt32, _ register: UInt32) -> UInt16 {
        select(slot: slot, register: register)
        return UInt16(truncatingIfNeeded: instruction_in16(dataPort + UInt16(register & 2), 0))
    }

    static func read8(_ slot: UInt32, _ register: UInt32) -> UInt8 {
        select(slot: slot, register: register)
        return UInt8(truncatingIfNeeded: instruction_in8(dataPort + UInt16(register & 3), 0))
    }

    static func write32(_ slot: UInt32, _ register: UInt32, _ value: UInt32) {
        select(slot: slot, register: register)
        instruction_out32(dataPort, value)
    }

    static func write16(_ slot: UInt32, _ register: UInt32, _ value: UInt16) {
        select(slot: slot, register: register)
        instruction_out16(dataPort + UInt16(register & 2), UInt32(value))
    }

    static func write8(_ slot: UInt32, _ register: UInt32, _ value: UInt8) {
        select(slot: slot, register: register)
        instruction_out8(dataPort + UInt16(register & 3), UInt32(value))
    }
}

/// A device found in a slot.
struct PCIDevice {
    let slot: UInt32

    /// The vendor of all virtio devices.
    static let virtioVendor: UInt16 = 0x1AF4

    var vendor: UInt16 { PCI.read16(slot, 0x00) }
    var device: UInt16 { PCI.read16(slot, 0x02) }
    var classCode: UInt16 { PCI.read16(slot, 0x0A) }
    var interruptLine: UInt8 { PCI.read8(slot, 0x3C) }
    var baseAddress: PhysicalAddress { PhysicalAddress(value: PCI.read32(slot, 0x10) & ~0xF) }

    init?(slot: UInt32) {
        self.slot = slot
        let identity = PCI.read32(slot, 0)
        guard identity != 0xFFFF_FFFF, identity != 0 else { return nil }
    }

    /// Where virtio keeps what, told by vendor-specific capabilities (id 9).
    enum Region: UInt8 {
        case common = 1
        case notify = 2
        case interruptStatus = 3
        case device = 4
        case configurationAccess = 5
    }

    struct Capability {
        /// Of the capability itself, in configuration space.
        var offset: UInt32
        var bar: UInt8
        var regionOffset: UInt32
        var regionLength: UInt32
    }

    func capability(_ region: Region) -> Capability? {
        guard PCI.read16(slot, 0x06) & 0x10 != 0 else { return nil }
        var offset = UInt32(PCI.read8(slot, 0x34))
        var steps = 0
        while offset >= 0x40, steps < 16 {
            if PCI.read8(slot, offset) == 0x09, PCI.read8(slot, offset + 3) == region.rawValue {
                return Capability(
                    offset: offset,
                    bar: PCI.read8(slot, offset + 4),
                    regionOffset: PCI.read32(slot, offset + 8),
                    regionLength: PCI.read32(slot, offset + 12)
                )
            }
            offset = UInt32(PCI.read8(slot, offset + 1))
            steps += 1
        }
        return nil
    }

    /// Reads a device register through configuration space, without any mapping: bar, length and offset are
    /// written into a capability, and its data word then stands for the register.
    func readWindow(_ offset: UInt32, bytes: UInt32) -> UInt32? {
        guard let window = openWindow(offset, bytes: bytes) else { return nil }
        switch bytes {
        case 1: return UInt32(PCI.read8(slot, window))
        case 2: return UInt32(PCI.read16(slot, window))
        default: return PCI.read32(slot, window)
        }
    }

    @discardableResult
    func writeWindow(_ offset: UInt32, bytes: UInt32, _ value: UInt32) -> Bool {
        guard let window = openWindow(offset, bytes: bytes) else { return false }
        PCI.write32(slot, window, value)
        return true
    }

    private func openWindow(_ offset: UInt32, bytes: UInt32) -> UInt32? {
        guard let capability = capability(.configurationAccess) else { return nil }
        PCI.write8(slot, capability.offset + 4, 0)
        PCI.write32(slot, capability.offset + 12, bytes)
        PCI.write32(slot, capability.offset + 8, offset)
        return capability.offset + 16
    }
}

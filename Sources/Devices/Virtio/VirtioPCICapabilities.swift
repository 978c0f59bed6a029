// SPDX-License-Identifier: Apache-2.0
//
// The PCI face of a virtio device: 0x98 bytes of configuration space with five capabilities that tell
// the driver where in BAR0 it finds what (virtio 1.0, clause 4.1.4; lguest ABI 9.2).

/// Where things are in BAR0 (lguest ABI 9.3), in bytes.
enum VirtioPCILayout {
    static let commonLength = 0x38
    static let notify = 0x38
    static let isr = 0x3A
    static let device = 0x3C

    /// Length of BAR0: a power of two that holds the registers and `configLength` bytes, so that it can be
    /// placed at a multiple of itself.
    static func barLength(configLength: Int) -> UInt32 {
        var length: UInt32 = 64
        while Int(length) < device + configLength { length *= 2 }
        return length
    }
}

/// Offsets in the configuration space that behave.
enum VirtioPCIRegister {
    static let bar0 = 0x10
    static let windowBar = 0x88
    static let windowOffset = 0x8C
    static let windowLength = 0x90
    static let windowData = 0x94
}

extension PCIConfigSpace {
    /// The configuration space of a virtio device whose BAR0 starts out at `barBase`.
    static func virtio(deviceID: UInt16, configLength: Int, barBase: UInt32, irq: Int) -> PCIConfigSpace {
        var space = PCIConfigSpace()
        space.define(0x1AF4, at: 0x00, width: 2)
        space.define(UInt64(0x1040 + deviceID), at: 0x02, width: 2)
        // The command register stays 0 and ignores writes: the device always decodes. Status: capabilities.
        space.define(0x0010, at: 0x06, width: 2)
        space.define(1, at: 0x08, width: 1)
        space.define(pciClass(deviceID), at: 0x0A, width: 2)
        space.allowWrites(mask: 0xFFFF, at: 0x0C, width: 2)
        let barLength = VirtioPCILayout.barLength(configLength: configLength)
        space.define(UInt64(barBase), at: VirtioPCIRegister.bar0, width: 4)
        space.allowWrites(mask: UInt64(~(barLength - 1)), at: VirtioPCIRegister.bar0, width: 4)
        // BAR1–5 and the ROM register stay 0: a guest that sizes them finds nothing.
        space.define(0x40, at: 0x2E, width: 2)
        space.define(0x40, at: 0x34, width: 1)
        space.define(UInt64(irq & 0xFF), at: 0x3C, width: 1)
        space.defineCapabilities(configLength: configLength)
        return space
    }

    /// What a PC's kernel uses beside: pin INTA with its line, and a command register.
    mutating func makePC(interrupt: Int) {
        allowWrites(mask: 0x0547, at: 0x04, width: 2)
        // A console of class "serial port" would be taken for one; "other" it is then.
        if read(at: 0x0A, width: 2) == 0x0700 { define(0x0780, at: 0x0A, width: 2) }
        define(UInt64(interrupt & 0xFF), at: 0x3C, width: 1)
        allowWrites(mask: 0xFF, at: 0x3C, width: 1)
        define(1, at: 0x3D, width: 1)
    }

    private mutating func defineCapabilities(configLength: Int) {
        let device = configLength > 0 ? 0x74 : 0
        capability(at: 0x40, next: 0x50, length: 16, type: 1, offset: 0, size: VirtioPCILayout.commonLength)
        // The notify capability ends with a multiplier of 0: all queues share one register.
        capability(at: 0x50, next: 0x64, length: 20, type: 2, offset: VirtioPCILayout.notify, size: 2)
        capability(at: 0x64, next: 0x84, length: 16, type: 3, offset: VirtioPCILayout.isr, size: 1)
        capability(at: 0x74, next: 0, length: 16, type: 4, offset: VirtioPCILayout.device, size: configLength)
        capability(at: 0x84, next: device, length: 20, type: 5, offset: 0, size: 0)
        allowWrites(mask: 0xFF, at: VirtioPCIRegister.windowBar, width: 1)
        allowWrites(mask: 0xFFFF_FFFF, at: VirtioPCIRegister.windowOffset, width: 4)
        allowWrites(mask: 0xFFFF_FFFF, at: VirtioPCIRegister.windowLength, width: 4)
        allowWrites(mask: 0xFFFF_FFFF, at: VirtioPCIRegister.windowData, width: 4)
    }

    /// Clause 4.1.4: id 9 (vendor specific), next, length, type, bar 0, offset, size.
    private mutating func capability(at: Int, next: Int, length: Int, type: Int, offset: Int, size: Int) {
        define(0x09, at: at, width: 1)
        define(UInt64(next), at: at + 1, width: 1)
        define(UInt64(length), at: at + 2, width: 1)
        define(UInt64(type), at: at + 3, width: 1)
        define(UInt64(offset), at: at + 8, width: 4)
        define(UInt64(size), at: at + 12, width: 4)
    }

    /// Class (high byte) and subclass of each virtio device (lguest ABI 9.2).
    private static func pciClass(_ deviceID: UInt16) -> UInt64 {
        switch deviceID {
        case 1: 0x0200
        case 2: 0x0180
        case 3: 0x0700
        default: 0xFF00
        }
    }
}

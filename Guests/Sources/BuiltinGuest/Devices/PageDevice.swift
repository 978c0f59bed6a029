// SPDX-License-Identifier: Apache-2.0
//
// Devices as guests before Linux 4.0 found them: one page of descriptors directly above memory, each queue in
// pages that the hypervisor has laid out behind it, and a hypercall with an address that says "look here".
import Machine

struct PageDevice {
    /// Of the descriptor.
    let address: PhysicalAddress
    let view: VirtualAddress

    var type: UInt8 { Memory.read8(view) }
    var queueCount: UInt32 { UInt32(Memory.read8(view + 1)) }
    private var featureBytes: UInt32 { UInt32(Memory.read8(view + 2)) }
    private var configurationBytes: UInt32 { UInt32(Memory.read8(view + 3)) }
    private var features: VirtualAddress { view + (5 + 8 * queueCount) }
    private var bytes: UInt32 { 5 + 8 * queueCount + 2 * featureBytes + configurationBytes }

    nonisolated(unsafe) private static var page: VirtualAddress?

    /// Device `number` (0: the first) of the kind `type`.
    static func find(type: UInt8, number: UInt32) -> PageDevice? {
        let start = PhysicalAddress(value: UInt32(truncatingIfNeeded: BootParameters.memorySize))
        let view = page ?? KernelMap.mapDevice(start, bytes: PageFrames.bytes)
        page = view
        var offset: UInt32 = 0
        var left = number
        while offset < PageFrames.bytes {
            let device = PageDevice(address: start + offset, view: view + offset)
            if device.type == 0 { return nil }
            if device.type == type {
                if left == 0 { return device }
                left -= 1
            }
            offset += device.bytes
        }
        return nil
    }

    var offeredFeatures: UInt32 { Memory.read32(features) }
    func accept(_ bits: UInt32) { Memory.write32(features + featureBytes, bits) }
    func configuration8(_ offset: UInt32) -> UInt8 {
        Memory.read8(features + 2 * featureBytes + offset)
    }
    func writeConfiguration32(_ offset: UInt32, _ value: UInt32) {
        Memory.write32(features + 2 * featureBytes + offset, value)
    }

    var status: UInt8 {
        get { Memory.read8(view + 4) }
        nonmutating set {
            Memory.write8(view + 4, newValue)
            Hypercall.notify(address.value)
        }
    }

    // Queue n: u16 entries, u16 interrupt line, u32 number of its first page.
    func queueSize(_ number: UInt32) -> UInt32 { UInt32(Memory.read16(view + (5 + 8 * number))) }
    func queueLine(_ number: UInt32) -> UInt32 { UInt32(Memory.read16(view + (7 + 8 * number))) }
    func queuePage(_ number: UInt32) -> PhysicalAddress {
        PhysicalAddress(value: Memory.read32(view + (9 + 8 * number)) << 12)
    }
}

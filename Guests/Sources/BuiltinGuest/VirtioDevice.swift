// SPDX-License-Identifier: Apache-2.0
//
// The registers that every virtio device has, in the layout of virtio 1.0 over PCI. They are not memory: each
// access is carried out by the hypervisor, and must have exactly the register's width.
import Machine

struct VirtioDevice {
    enum Register: UInt32 {
        case deviceFeatureSelect = 0x00
        case deviceFeature = 0x04
        case driverFeatureSelect = 0x08
        case driverFeature = 0x0C
        case msixConfiguration = 0x10
        case queueCount = 0x12
        case status = 0x14
        case generation = 0x15
        case queueSelect = 0x16
        case queueSize = 0x18
        case queueVector = 0x1A
        case queueEnable = 0x1C
        case queueNotifyOffset = 0x1E
        case queueDescriptors = 0x20
        case queueDescriptorsHigh = 0x24
        case queueAvailable = 0x28
        case queueAvailableHigh = 0x2C
        case queueUsed = 0x30
        case queueUsedHigh = 0x34
        case notify = 0x38
        case interruptStatus = 0x3A
        case configuration = 0x3C
        /// The console's emergency write.
        case emergency = 0x44
    }

    enum Status {
        static let acknowledge: UInt8 = 1
        static let driver: UInt8 = 2
        static let driverOK: UInt8 = 4
        static let featuresOK: UInt8 = 8
        static let failed: UInt8 = 0x80
    }

    let pci: PCIDevice
    let registers: VirtualAddress

    init?(slot: UInt32) {
        guard let pci = PCIDevice(slot: slot), pci.vendor == PCIDevice.virtioVendor else { return nil }
        self.pci = pci
        registers = KernelMap.mapDevice(pci.baseAddress, bytes: 0x80)
    }

    private func address(_ register: Register) -> UInt32 { registers.value &+ register.rawValue }

    func read8(_ register: Register) -> UInt8 { device_read8(address(register)) }
    func read16(_ register: Register) -> UInt16 { device_read16(address(register)) }
    func read32(_ register: Register) -> UInt32 { device_read32(address(register)) }
    func write8(_ register: Register, _ value: UInt8) { device_write8(address(register), value) }
    func write16(_ register: Register, _ value: UInt16) { device_write16(address(register), value) }
    func write32(_ register: Register, _ value: UInt32) { device_write32(address(register), value) }

    var status: UInt8 { read8(.status) }

    func reset() { write8(.status, 0) }

    /// Bits are only ever added, one after the other.
    func addStatus(_ bit: UInt8) { write8(.status, status | bit) }

    func offeredFeatures(_ word: UInt32) -> UInt32 {
        write32(.deviceFeatureSelect, word)
        return read32(.deviceFeature)
    }

    func accept(_ features: UInt32, word: UInt32) {
        write32(.driverFeatureSelect, word)
        write32(.driverFeature, features)
    }

    /// Tells the device where a queue is.
    func setUp(_ queue: Virtqueue, number: UInt16) {
        write16(.queueSelect, number)
        write16(.queueSize, UInt16(Virtqueue.size))
        write32(.queueDescriptors, queue.descriptors.value)
        write32(.queueDescriptorsHigh, 0)
        write32(.queueAvailable, queue.available.value)
        write32(.queueAvailableHigh, 0)
        write32(.queueUsed, queue.used.value)
        write32(.queueUsedHigh, 0)
        write16(.queueEnable, 1)
    }

    func kick(_ number: UInt16) { write16(.notify, number) }
}

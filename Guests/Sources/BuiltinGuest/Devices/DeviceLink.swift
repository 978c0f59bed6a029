// SPDX-License-Identifier: Apache-2.0
//
// A virtio device and the way to it: over PCI as in Linux from 4.0 on, or over the device page as before. The
// drivers of this folder work over both, and so each device can be checked over both.
import Machine

enum DeviceWay {
    case pci, page

    var name: StaticString { self == .pci ? "pci" : "page" }

    init(_ word: Text?) { self = (word ?? "pci") == "page" ? .page : .pci }
}

struct DeviceLink {
    /// Numbers that virtio gives to the kinds of device.
    enum Kind: UInt8 {
        case net = 1
        case disk = 2
        case random = 4
        case balloon = 5
    }

    private enum Way {
        case pci(VirtioDevice)
        case page(PageDevice)
    }

    private let way: Way
    let name: StaticString

    /// Device `number` (0: the first) of a kind; nil where there is none.
    static func find(_ kind: Kind, number: UInt32, _ way: DeviceWay) -> DeviceLink? {
        if way == .page {
            guard let device = PageDevice.find(type: kind.rawValue, number: number) else { return nil }
            return DeviceLink(way: .page(device), name: way.name)
        }
        var left = number
        for slot in 1..<UInt32(32) {
            guard let pci = PCIDevice(slot: slot), pci.vendor == PCIDevice.virtioVendor,
                pci.device == 0x1040 + UInt16(kind.rawValue)
            else { continue }
            if left == 0 {
                guard let device = VirtioDevice(slot: slot) else { return nil }
                return DeviceLink(way: .pci(device), name: way.name)
            }
            left -= 1
        }
        return nil
    }

    // MARK: Start and end

    /// From reset to agreement on features. Accepts those of `wanted` that are offered and gives them; nil when
    /// the device does not agree.
    func negotiate(_ wanted: UInt32) -> UInt32? {
        reset()
        switch way {
        case .pci(let device):
            device.addStatus(VirtioDevice.Status.acknowledge)
            device.addStatus(VirtioDevice.Status.driver)
            let accepted = device.offeredFeatures(0) & wanted
            device.accept(accepted, word: 0)
            device.accept(1, word: 1)
            device.addStatus(VirtioDevice.Status.featuresOK)
            return device.status & VirtioDevice.Status.featuresOK != 0 ? accepted : nil
        case .page(let device):
            device.status = 1
            device.status = 3
            let accepted = device.offeredFeatures & wanted
            device.accept(accepted)
            return accepted
        }
    }

    /// Queue `number`, known to the device and empty.
    func makeRing(_ number: UInt32) -> Ring {
        switch way {
        case .pci(let device):
            device.write16(.queueSelect, UInt16(number))
            let size = UInt32(device.read16(.queueSize))
            let tables = (PageFrames.allocate(), PageFrames.allocate(), PageFrames.allocate())
            device.write32(.queueDescriptors, tables.0.value)
            device.write32(.queueAvailable, tables.1.value)
            device.write32(.queueUsed, tables.2.value)
            device.write16(.queueEnable, 1)
            return Ring(
                number: number, size: size, page: tables.0, line: UInt32(device.pci.interruptLine),
                descriptors: tables.0.inKernel, available: tables.1.inKernel, used: tables.2.inKernel)
        case .page(let device):
            let size = device.queueSize(number)
            let page = device.queuePage(number)
            let usedAt = (16 * size + 6 + 2 * size + 4095) & ~4095
            let view = KernelMap.mapDevice(page, bytes: usedAt + 6 + 8 * size)
            return Ring(
                number: number, size: size, page: page, line: device.queueLine(number), descriptors: view,
                available: view + 16 * size, used: view + usedAt)
        }
    }

    /// The driver is ready.
    func start() {
        switch way {
        case .pci(let device): device.addStatus(VirtioDevice.Status.driverOK)
        case .page(let device): device.status = 7
        }
    }

    func reset() {
        switch way {
        case .pci(let device): device.reset()
        case .page(let device): device.status = 0
        }
    }

    // MARK: While it runs

    func kick(_ ring: Ring) {
        if ring.deviceWantsNoKick { return }
        switch way {
        case .pci(let device): device.kick(UInt16(ring.number))
        case .page: Hypercall.notify(ring.page.value)
        }
    }

    /// Ends an interrupt, where that takes an act.
    func acknowledge() {
        if case .pci(let device) = way { _ = device.read8(.interruptStatus) }
    }

    /// Whether the device says that its driver is broken.
    var isBroken: Bool {
        switch way {
        case .pci(let device): device.status & 0x40 != 0
        case .page(let device): device.status & 0x80 != 0
        }
    }

    func configuration8(_ offset: UInt32) -> UInt8 {
        switch way {
        case .pci(let device): device_read8(device.registers.value &+ 0x3C &+ offset)
        case .page(let device): device.configuration8(offset)
        }
    }

    func configuration32(_ offset: UInt32) -> UInt32 {
        var value: UInt32 = 0
        for byte in 0..<UInt32(4) { value |= UInt32(configuration8(offset + byte)) << (8 * byte) }
        return value
    }

    func writeConfiguration32(_ offset: UInt32, _ value: UInt32) {
        switch way {
        case .pci(let device): device_write32(device.registers.value &+ 0x3C &+ offset, value)
        case .page(let device): device.writeConfiguration32(offset, value)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// How guests from 2.6.24 to 3.19 find their devices (lguest ABI 8): a page of descriptors directly above
// RAM, the virtqueues in the pages above that. All of it is plain memory; the guest says by a hypercall
// with an address that it has changed something there.

import GuestMemory
import Support

/// The page of descriptors, and the devices on it. Belongs to the thread of the virtual CPU.
public final class DevicePage {
    /// What an announced address was.
    public enum Notification: Equatable, Sendable {
        /// A device has been told.
        case device
        /// No device is there: text to print, if it is RAM.
        case other
    }

    /// Pages above RAM that guests of this kind may have in use, the descriptors' included (lguest ABI 1.1).
    public static let pageCount = 256
    /// Interrupt numbers that every guest has (lguest ABI 11.1 item 43).
    private static let lastIRQ = 15
    private static let pageSize: UInt64 = 4096

    /// The devices in the order in which the guest finds them.
    public private(set) var transports: [DevicePageTransport] = []

    let memory: GuestMemory
    private let interrupts: any InterruptLines
    private let base: UInt64
    private let format: DevicePageFormat
    private var nextDescriptor: UInt64
    private var nextPage: UInt64
    private var nextIRQ = 1

    /// An empty page at GPA `base`, which is the end of RAM; `memory` must reach `pageCount` pages further.
    public init(
        memory: GuestMemory, interrupts: any InterruptLines, base: UInt64, format: DevicePageFormat = .fixed
    ) {
        self.memory = memory
        self.interrupts = interrupts
        self.base = base
        self.format = format
        nextDescriptor = base
        nextPage = base + Self.pageSize
    }

    /// The devices that kernels of this format have drivers for, and the others.
    public func sort(
        _ devices: [any VirtioDevice]
    ) -> (known: [any VirtioDevice], unknown: [any VirtioDevice]) {
        let knows: (any VirtioDevice) -> Bool = { [format] in format == .fixed || $0.fields != nil }
        return (devices.filter(knows), devices.filter { !knows($0) })
    }

    /// Adds `device` behind the others. Fails when the page is full.
    @discardableResult
    public func add(_ device: any VirtioDevice) throws(LguestError) -> DevicePageTransport {
        var queues: [DevicePageTransport.Queue] = []
        for size in device.queueSizes {
            let layout = Self.layout(size: size, at: nextPage)
            queues.append(.init(layout: layout, page: nextPage, irq: min(nextIRQ, Self.lastIRQ)))
            nextPage = (layout.used + 6 + 8 * UInt64(size) + Self.pageSize - 1) & ~(Self.pageSize - 1)
            nextIRQ += 1
        }
        let transport = DevicePageTransport(
            device: device, memory: memory, interrupts: interrupts, address: nextDescriptor, queues: queues,
            format: format)
        // One byte of zero must be left: it ends the list.
        guard nextDescriptor + transport.descriptorLength < base + Self.pageSize,
            nextPage <= base + UInt64(Self.pageCount) * Self.pageSize, nextPage <= memory.size
        else {
            throw LguestError(.badInput, "no room for another device (\(device.name)) on the device page")
        }
        transport.writeDescriptor()
        nextDescriptor += transport.descriptorLength
        transports.append(transport)
        return transport
    }

    /// The three parts of a queue in the old layout: the used ring begins a page of its own.
    private static func layout(size: UInt16, at page: UInt64) -> VirtqueueLayout {
        let available = page + 16 * UInt64(size)
        let used = (available + 6 + 2 * UInt64(size) + pageSize - 1) & ~(pageSize - 1)
        return VirtqueueLayout(size: size, descriptors: page, available: available, used: used)
    }

    /// The guest has announced GPA `address` (lguest ABI 8.3).
    public func notify(_ address: UInt64) -> Notification {
        guard address >= base else { return .other }
        for transport in transports {
            if address == transport.address {
                transport.statusChanged()
                return .device
            }
            if let index = transport.queues.firstIndex(where: { $0.page == address }) {
                transport.kick(index)
                return .device
            }
        }
        return .other
    }

    /// Resets every device, before the guest starts anew.
    public func reset() {
        for transport in transports { transport.reset() }
    }
}

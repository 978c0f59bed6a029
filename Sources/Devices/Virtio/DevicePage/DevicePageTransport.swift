// SPDX-License-Identifier: Apache-2.0
//
// A virtio device on the lguest device page. Its descriptor is memory that the guest reads and writes as it
// likes, so everything that counts is kept here, and the guest's two fields, status and accepted
// features, are read when it announces something.

import GuestMemory
import Tap

/// Joins one `VirtioDevice` to a descriptor. Belongs to the thread of the virtual CPU.
public final class DevicePageTransport {
    struct Queue {
        let layout: VirtqueueLayout
        /// GPA of its first page, which is its name in announcements.
        let page: UInt64
        let irq: Int
    }

    /// Offsets in a descriptor (lguest ABI 8.1).
    private enum Field {
        static let status: UInt64 = 4
        static let queues: UInt64 = 5
    }

    /// Bits 0–31: older drivers know no others.
    private static let featureBytes: UInt64 = 4

    public let device: any VirtioDevice
    /// GPA of the descriptor.
    let address: UInt64
    let queues: [Queue]
    /// Told once for each failure, until the next reset: what the driver did wrong.
    public var onFailure: ((_ device: String, _ error: VirtqueueError) -> Void)?

    /// Where to record what goes through the queues; taken over at activation.
    public var tap: TraceTap?

    private let memory: GuestMemory
    private let interrupts: any InterruptLines
    /// The queues in use; empty until the driver is ready.
    private var live: [Virtqueue?] = []
    private var isActive = false
    private var hasFailed = false
    /// The status at the last announcement.
    private var knownStatus: VirtioStatus = []

    init(
        device: any VirtioDevice, memory: GuestMemory, interrupts: any InterruptLines, address: UInt64,
        queues: [Queue]
    ) {
        self.device = device
        self.memory = memory
        self.interrupts = interrupts
        self.address = address
        self.queues = queues
    }

    /// What the device offers to a driver of that age.
    var offeredFeatures: VirtioFeatures {
        let all = device.offeredFeatures.union(device.legacyFeatures)
        return VirtioFeatures(rawValue: all.rawValue & 0xFFFF_FFFF)
    }

    private var featuresOffset: UInt64 { Field.queues + 8 * UInt64(queues.count) }
    private var acceptedOffset: UInt64 { featuresOffset + Self.featureBytes }
    private var configurationOffset: UInt64 { acceptedOffset + Self.featureBytes }

    var descriptorLength: UInt64 { configurationOffset + UInt64(device.configuration.count) }

    // MARK: The descriptor

    /// Writes all of it, as at power-on.
    func writeDescriptor() {
        let configuration = device.configuration
        var bytes = [UInt8](repeating: 0, count: Int(configurationOffset)) + configuration
        bytes[0] = UInt8(truncatingIfNeeded: device.deviceID)
        bytes[1] = UInt8(truncatingIfNeeded: queues.count)
        bytes[2] = UInt8(Self.featureBytes)
        bytes[3] = UInt8(truncatingIfNeeded: configuration.count)
        for (index, queue) in queues.enumerated() {
            let at = Int(Field.queues) + 8 * index
            bytes.setLittleEndian(UInt64(queue.layout.size), at: at, width: 2)
            bytes.setLittleEndian(UInt64(queue.irq), at: at + 2, width: 2)
            bytes.setLittleEndian(queue.page >> 12, at: at + 4, width: 4)
        }
        bytes.setLittleEndian(offeredFeatures.rawValue, at: Int(featuresOffset), width: 4)
        try? memory.writeBytes(bytes, at: address)
    }

    /// The status byte; the page was checked to be inside memory, so this cannot fail.
    private var status: VirtioStatus {
        get { VirtioStatus(rawValue: (try? memory.read(address + Field.status)) ?? 0) }
        set { try? memory.write(newValue.rawValue, at: address + Field.status) }
    }

    // MARK: Turning points

    /// The guest has announced the descriptor. Which changes of the status are announced depends on its
    /// age (lguest ABI 8.3): all of them, some, or only a reset that does not say so.
    func statusChanged() {
        let now = status
        let isSilentReset = now.contains(.driverOK) && !knownStatus.contains(.driver)
        if now.isEmpty || isSilentReset { return reset() }
        knownStatus = now
        if now.contains(.failed) {
            retireQueues()
            device.reset()
        } else if now.contains(.driverOK) {
            activate()
        }
    }

    /// The guest has announced a queue, which it may do before it says that it is ready.
    func kick(_ index: Int) {
        activate()
        guard live.indices.contains(index), let queue = live[index], queue.isLive else { return }
        guard let trace = queue.trace else { return device.queueNotified(index) }
        trace.kick { device.queueNotified(index) }
    }

    private func activate() {
        guard !isActive, !hasFailed else { return }
        isActive = true
        let bits: UInt32 = (try? memory.read(address + acceptedOffset)) ?? 0
        let features = VirtioFeatures(rawValue: UInt64(bits)).intersection(offeredFeatures)
        do throws(VirtqueueError) {
            for index in queues.indices { live.append(try makeQueue(index, features)) }
        } catch {
            return fail(error)
        }
        device.activate(
            VirtioActivation(features: features, queues: live) { [weak self] in
                self?.configurationChanged()
            })
    }

    private func makeQueue(_ index: Int, _ features: VirtioFeatures) throws(VirtqueueError) -> Virtqueue {
        let (interrupts, irq) = (interrupts, queues[index].irq)
        let queue = try Virtqueue(
            index: index, layout: queues[index].layout, features: features, memory: memory,
            interrupt: { interrupts.raise(irq: irq) },
            broken: { [weak self] in self?.fail($0) })
        queue.trace = tap.map { QueueTrace($0, device, queue: index) }
        return queue
    }

    /// There is no interrupt for this: a driver sees it when it looks.
    private func configurationChanged() {
        try? memory.writeBytes(device.configuration, at: address + configurationOffset)
    }

    /// A broken driver: the device does nothing more until it is reset.
    private func fail(_ error: VirtqueueError) {
        guard !hasFailed else { return }
        hasFailed = true
        retireQueues()
        status.formUnion(.failed)
        onFailure?(device.name, error)
    }

    /// Back to the state at power-on (lguest ABI 8.3): also the rings, which the driver expects to be zero.
    func reset() {
        retireQueues()
        device.reset()
        isActive = false
        hasFailed = false
        knownStatus = []
        for queue in queues {
            let end = queue.layout.used + 6 + 8 * UInt64(queue.layout.size)
            try? memory.zero(queue.page, count: end - queue.page)
        }
        writeDescriptor()
    }

    private func retireQueues() {
        for queue in live { queue?.retire() }
        live = []
    }
}

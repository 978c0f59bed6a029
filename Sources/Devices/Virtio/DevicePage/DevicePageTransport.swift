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

    public let device: any VirtioDevice
    /// GPA of the descriptor.
    let address: UInt64
    private let format: DevicePageFormat
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
    /// Linux 2.6.27 to 2.6.30 fill queues before they write down which features they have accepted.
    private var isProvisional = false
    private var hasFailed = false
    /// The status at the last announcement.
    private var knownStatus: VirtioStatus = []

    init(
        device: any VirtioDevice, memory: GuestMemory, interrupts: any InterruptLines, address: UInt64,
        queues: [Queue], format: DevicePageFormat
    ) {
        self.device = device
        self.memory = memory
        self.interrupts = interrupts
        self.address = address
        self.queues = queues
        self.format = format
    }

    /// What the device offers to a driver of that age. Linux 2.6.24 looks at features, but cannot find any: it
    /// compares a bit's number with the wrong length.
    var offeredFeatures: VirtioFeatures {
        if format == .fields { return [] }
        let all = device.offeredFeatures.union(device.legacyFeatures)
        return VirtioFeatures(rawValue: all.rawValue & 0xFFFF_FFFF)
    }

    private var descriptor: DevicePageDescriptor {
        DevicePageDescriptor(format, device, queues: queues, features: offeredFeatures)
    }
    /// The descriptor of the start: where things are in it never changes.
    private lazy var places = descriptor

    // MARK: The descriptor

    /// Writes all of it, as at power-on.
    func writeDescriptor() { try? memory.writeBytes(descriptor.bytes, at: address) }

    /// Bytes from `address` on.
    var descriptorLength: UInt64 { UInt64(places.bytes.count) }

    /// The status byte; the page was checked to be inside memory, so this cannot fail.
    private var status: VirtioStatus {
        get { VirtioStatus(rawValue: (try? memory.read(address + places.statusOffset)) ?? 0) }
        set { try? memory.write(newValue.rawValue, at: address + places.statusOffset) }
    }

    /// What the guest has accepted of what it was offered.
    private var acceptedFeatures: VirtioFeatures {
        guard let offset = places.acceptedOffset else { return [] }
        let bits: UInt32 = (try? memory.read(address + offset)) ?? 0
        return VirtioFeatures(rawValue: UInt64(bits)).intersection(offeredFeatures)
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
            if isProvisional { settle() }
        }
    }

    /// The guest has announced a queue, which it may do before it says that it is ready.
    func kick(_ index: Int) {
        activate()
        // A driver that uses another queue than the first is up, whatever it has accepted.
        if isProvisional, index > 0 || !acceptedFeatures.isEmpty { settle() }
        guard live.indices.contains(index), let queue = live[index], queue.isLive else { return }
        guard let trace = queue.trace else { return device.queueNotified(index) }
        trace.kick { device.queueNotified(index) }
    }

    private func activate() {
        guard !isActive, !hasFailed else { return }
        isActive = true
        let features = acceptedFeatures
        isProvisional = features.isEmpty && knownStatus.contains(.driver) && !knownStatus.contains(.driverOK)
        do throws(VirtqueueError) {
            for index in queues.indices { live.append(try makeQueue(index, features)) }
        } catch {
            return fail(error)
        }
        tellDevice(features)
    }

    /// The features are known now, of a driver that has begun without them.
    private func settle() {
        isProvisional = false
        let features = acceptedFeatures
        for queue in live { queue?.features = features }
        tellDevice(features)
    }

    private func tellDevice(_ features: VirtioFeatures) {
        device.activate(
            VirtioActivation(
                features: features, queues: live, dialect: format.dialect, isProvisional: isProvisional
            ) { [weak self] in
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
        guard let offset = places.configurationOffset else { return }
        try? memory.writeBytes(device.configuration, at: address + offset)
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
        isProvisional = false
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

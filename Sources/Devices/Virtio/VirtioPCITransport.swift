// SPDX-License-Identifier: Apache-2.0
//
// A virtio device on the emulated PCI bus (virtio 1.0, clause 4.1). This file holds the state that
// driver and device share and its turning points: activation, reset, interrupts, failure.
// `+Registers` is the register file in BAR0, `+Config` the PCI configuration space.

import GuestMemory
import Tap

/// Joins one `VirtioDevice` to PCI. Belongs to the thread of the virtual CPU.
public final class VirtioPCITransport {
    /// The registers 0x16–0x37 of BAR0 for one queue.
    struct QueueRegisters {
        var layout: VirtqueueLayout
        var isEnabled = false
    }

    /// The device behind the registers.
    public let device: any VirtioDevice
    /// Its interrupt line.
    public let irq: Int
    /// Told once for each failure, until the next reset: what the driver did wrong.
    public var onFailure: ((_ device: String, _ error: VirtqueueError) -> Void)?

    /// Where to record what goes through the queues; taken over at activation.
    public var tap: TraceTap?

    let memory: GuestMemory
    let interrupts: any InterruptLines
    /// Weak: the bus holds the transport.
    weak var mmio: MMIOBus?
    let configLength: Int
    var space: PCIConfigSpace
    var region: MMIOBus.Region?

    var status: VirtioStatus = []
    var acceptedFeatures: VirtioFeatures = []
    var deviceFeatureSelect: UInt32 = 0
    var driverFeatureSelect: UInt32 = 0
    var queueSelect: UInt16 = 0
    var queueRegisters: [QueueRegisters] = []
    var configGeneration: UInt8 = 0
    /// Clause 4.1.4.5: bit 0 a queue, bit 1 the configuration. Reading clears it.
    var isr: UInt8 = 0
    /// The queues in use; empty until DRIVER_OK.
    private var queues: [Virtqueue?] = []

    /// Joins `device` to the bus with BAR0 at `barBase` (GPA, a multiple of `barLength(of:)`). `pcInterrupt`
    /// makes it behave as a PC's kernel expects, with that number in the interrupt line register.
    public init(
        device: any VirtioDevice, memory: GuestMemory, interrupts: any InterruptLines, irq: Int,
        mmio: MMIOBus, barBase: UInt32, pcInterrupt: Int? = nil
    ) {
        self.device = device
        self.memory = memory
        self.interrupts = interrupts
        self.irq = irq
        self.mmio = mmio
        configLength = device.configuration.count
        space = .virtio(deviceID: device.deviceID, configLength: configLength, barBase: barBase, irq: irq)
        if let pcInterrupt { space.makePC(interrupt: pcInterrupt) }
        resetRegisters()
        region = mmio.attach(self, base: UInt64(barBase), length: UInt64(Self.barLength(of: device)))
    }

    /// Bytes of BAR0 for `device`, a power of two.
    public static func barLength(of device: any VirtioDevice) -> UInt32 {
        VirtioPCILayout.barLength(configLength: device.configuration.count)
    }

    /// What the device offers, with the transport's own `version1`.
    var offeredFeatures: VirtioFeatures { device.offeredFeatures.union(.version1) }

    // MARK: Turning points

    /// The driver writes the status register (lguest ABI 9.5): zero resets, else bits are only ever added.
    func writeStatus(_ value: UInt8) {
        guard value != 0 else { return reset() }
        let added = VirtioStatus(rawValue: value).subtracting(status).subtracting(.needsReset)
        status.formUnion(added.subtracting([.featuresOK, .driverOK]))
        if added.contains(.featuresOK), acceptedFeatures.contains(.version1),
            acceptedFeatures.isSubset(of: offeredFeatures)
        {
            // Otherwise the bit stays off, by which the driver learns that it cannot have that set.
            status.formUnion(.featuresOK)
        }
        if added.contains(.driverOK) { activate() }
    }

    private func activate() {
        status.formUnion(.driverOK)
        guard !status.contains(.needsReset) else { return }
        do throws(VirtqueueError) {
            guard status.contains(.featuresOK) else { throw .featuresNotNegotiated }
            queues = []
            for index in queueRegisters.indices {
                queues.append(try makeQueue(index))
            }
        } catch {
            return fail(error)
        }
        device.activate(
            VirtioActivation(features: acceptedFeatures, queues: queues) { [weak self] in
                self?.configurationChanged()
            })
        for index in queues.indices { notify(index) }
    }

    private func makeQueue(_ index: Int) throws(VirtqueueError) -> Virtqueue? {
        let registers = queueRegisters[index]
        guard registers.isEnabled else { return nil }
        guard registers.layout.size <= device.queueSizes[index] else { throw .badSize(registers.layout.size) }
        let queue = try Virtqueue(
            index: index, layout: registers.layout, features: acceptedFeatures, memory: memory,
            interrupt: { [weak self] in self?.interrupt(1) },
            broken: { [weak self] in self?.fail($0) })
        queue.trace = tap.map { QueueTrace($0, device, queue: index) }
        return queue
    }

    /// The driver has put buffers into queue `index`. Any number may come from the guest.
    func notify(_ index: Int) {
        guard queues.indices.contains(index), let queue = queues[index], queue.isLive else { return }
        guard let trace = queue.trace else { return device.queueNotified(index) }
        trace.kick { device.queueNotified(index) }
    }

    /// Clause 2.3.2: the driver reads the configuration again when the generation has changed.
    private func configurationChanged() {
        configGeneration &+= 1
        interrupt(2)
    }

    private func interrupt(_ reason: UInt8) {
        isr |= reason
        interrupts.raise(irq: irq)
    }

    /// Reading the ISR takes the interrupt back.
    func takeISR() -> UInt8 {
        let value = isr
        isr = 0
        interrupts.lower(irq: irq)
        return value
    }

    /// A broken driver: the device does nothing more until it is reset, and says so (clause 2.1.2).
    private func fail(_ error: VirtqueueError) {
        guard !status.contains(.needsReset) else { return }
        status.formUnion(.needsReset)
        retireQueues()
        onFailure?(device.name, error)
        if status.contains(.driverOK) { configurationChanged() }
    }

    /// Back to the state at power-on, also on behalf of the machine. BAR0 stays where it is.
    public func reset() {
        retireQueues()
        device.reset()
        resetRegisters()
        interrupts.lower(irq: irq)
    }

    private func retireQueues() {
        for queue in queues { queue?.retire() }
        queues = []
    }

    private func resetRegisters() {
        status = []
        acceptedFeatures = []
        deviceFeatureSelect = 0
        driverFeatureSelect = 0
        queueSelect = 0
        isr = 0
        queueRegisters = device.queueSizes.map { QueueRegisters(layout: VirtqueueLayout(size: $0)) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// One virtqueue: how a virtio driver hands buffers to its device and gets them back. Three tables in our
// memory: descriptors (where each buffer is), "available" (which ones the device may take), "used" (which
// ones it is done with). Neither side waits for the other while both have work.
import Machine

struct Virtqueue {
    static let size: UInt32 = 16
    static let bufferBytes: UInt32 = 256

    // All three tables fit into one page.
    let page: PhysicalAddress
    var descriptors: PhysicalAddress { page }
    var available: PhysicalAddress { page + 0x400 }
    var used: PhysicalAddress { page + 0x800 }

    /// Buffer n belongs to descriptor n for ever.
    let buffers: PhysicalAddress
    private let deviceWrites: Bool

    private var offered: UInt16 = 0
    private var taken: UInt16 = 0

    init(deviceWrites: Bool) {
        page = PageFrames.allocate()
        buffers = PageFrames.allocate()
        self.deviceWrites = deviceWrites
    }

    /// Forgets everything, as the device does when it is reset.
    mutating func reset() {
        Memory.clear(page.inKernel, count: UInt32(PAGE_BYTES))
        offered = 0
        taken = 0
    }

    func buffer(_ index: UInt32) -> VirtualAddress { (buffers + index * Virtqueue.bufferBytes).inKernel }

    /// Offers a buffer to the device.
    mutating func offer(_ index: UInt32, bytes: UInt32) {
        let descriptor = descriptors + index * 16
        Memory.write32(descriptor, (buffers + index * Virtqueue.bufferBytes).value)
        Memory.write32(descriptor + 4, 0)
        Memory.write32(descriptor + 8, bytes)
        Memory.write32(descriptor + 12, deviceWrites ? 2 : 0)  // flags in the low half: device may write
        let slot = UInt32(offered) % Virtqueue.size
        Memory.write16((available + (4 + slot * 2)).inKernel, UInt16(index))
        offered &+= 1
        instruction_barrier()  // the entry must be there before the index says so
        Memory.write16((available + 2).inKernel, offered)
    }

    /// Takes back a buffer that the device is done with: which one, and how many bytes it wrote.
    mutating func take() -> (index: UInt32, bytes: UInt32)? {
        guard taken != usedIndex else { return nil }
        instruction_barrier()
        let element = used + (4 + UInt32(taken) % Virtqueue.size * 8)
        taken &+= 1
        return (Memory.read32(element) % Virtqueue.size, Memory.read32(element + 4))
    }

    var usedIndex: UInt16 { Memory.read16((used + 2).inKernel) }

    /// How many buffers the device still has.
    var outstanding: UInt32 { UInt32(offered &- taken) }

    /// Whether the device asked not to be told of new buffers.
    var deviceWantsNoKick: Bool { Memory.read16(used.inKernel) & 1 != 0 }

    /// Asks the device for interrupts when it returns buffers, or for none.
    func wantInterrupts(_ on: Bool) { Memory.write16(available.inKernel, on ? 0 : 1) }
}

// SPDX-License-Identifier: Apache-2.0
//
// A split virtqueue (virtio 1.0, clause 2.4): three tables in guest memory by which driver and device
// hand buffers to each other. Everything in them is the guest's to write at any time, so each value
// is read once, checked, and then used; what cannot be right ends in `driverIsBroken`.

import GuestMemory
import Tap

/// Where the driver has put the three parts of a queue (GPA).
public struct VirtqueueLayout: Equatable, Sendable {
    /// Entries, a power of two up to 32768.
    public var size: UInt16
    /// Descriptor table: 16 bytes × size, aligned to 16.
    public var descriptors: UInt64
    /// Available ring: 4 + 2 × size bytes (6 + with event indices), aligned to 2.
    public var available: UInt64
    /// Used ring: 4 + 8 × size bytes (6 + with event indices), aligned to 4.
    public var used: UInt64

    public init(size: UInt16, descriptors: UInt64 = 0, available: UInt64 = 0, used: UInt64 = 0) {
        self.size = size
        self.descriptors = descriptors
        self.available = available
        self.used = used
    }
}

/// The device's end of one virtqueue, from the moment the driver is ready until it resets the device.
///
/// Once the driver has broken the rules, or the device was reset, the queue is dead: it yields nothing
/// more and no longer writes to guest memory, so a request that is done late does no harm.
public final class Virtqueue {
    /// Which queue of its device it is.
    public let index: Int
    /// The memory that the queue and its buffers are in.
    public let memory: GuestMemory
    let layout: VirtqueueLayout
    /// What was agreed upon; the transport may learn of it late.
    var features: VirtioFeatures

    /// Whether buffers may still be taken and given back.
    public private(set) var isLive = true
    /// Buffers taken and not given back yet, at most the queue's size.
    public private(set) var inFlight = 0
    /// Available entries taken so far, modulo 2^16.
    private var nextAvailable: UInt16 = 0
    /// Used entries given so far, modulo 2^16.
    private var nextUsed: UInt16 = 0
    /// `nextUsed` when the driver was last told, or chose not to be.
    private var announcedUsed: UInt16 = 0
    /// Whether the driver is told even when it says that it does not want to be.
    var tellsAlways = false
    /// Who wants to see the buffers travel.
    public var trace: QueueTrace?
    private let interrupt: () -> Void
    private let broken: (VirtqueueError) -> Void

    /// Entries, a power of two.
    public var size: UInt16 { layout.size }

    /// Checks the layout: size, alignment and that each part lies inside RAM.
    ///
    /// - Parameters:
    ///   - interrupt: called when the driver is to be told of used buffers.
    ///   - broken: called once, when the driver has broken the rules.
    public init(
        index: Int, layout: VirtqueueLayout, features: VirtioFeatures, memory: GuestMemory,
        interrupt: @escaping () -> Void, broken: @escaping (VirtqueueError) -> Void
    ) throws(VirtqueueError) {
        let size = UInt64(layout.size)
        guard size > 0, size & (size - 1) == 0 else { throw .badSize(layout.size) }
        let event: UInt64 = features.contains(.eventIndex) ? 2 : 0
        let parts: [(String, UInt64, UInt64, UInt64)] = [
            ("descriptor table", layout.descriptors, 16 * size, 16),
            ("available ring", layout.available, 4 + 2 * size + event, 2),
            ("used ring", layout.used, 4 + 8 * size + event, 4),
        ]
        for (part, address, length, alignment) in parts
        where address % alignment != 0 || !memory.contains(address, length: length) {
            throw .badRing(part: part, address: address)
        }
        self.index = index
        self.layout = layout
        self.features = features
        self.memory = memory
        self.interrupt = interrupt
        self.broken = broken
    }

    /// Whether the driver has offered buffers that were not taken yet.
    public var hasAvailable: Bool {
        isLive && (try? availableIndex()) != nextAvailable
    }

    /// Takes the next buffer chain, or nil when there is none or the queue is dead.
    public func pop() -> DescriptorChain? {
        guard isLive else { return nil }
        do throws(VirtqueueError) {
            let chain = try takeNext()
            if let chain { trace?.note(.bufferTaken, chain, chain.readableLength &+ chain.writableLength) }
            return chain
        } catch {
            driverIsBroken(error)
            return nil
        }
    }

    private func takeNext() throws(VirtqueueError) -> DescriptorChain? {
        let offered = try availableIndex()
        guard offered != nextAvailable else { return nil }
        guard offered &- nextAvailable <= size else {
            throw .availableIndexJumped(from: nextAvailable, to: offered)
        }
        guard inFlight < Int(size) else { throw .tooManyInFlight }
        let head: UInt16 = try ring(layout.available + 4 + 2 * UInt64(nextAvailable & (size - 1)))
        let chain = try walk(from: head)
        nextAvailable &+= 1
        inFlight += 1
        return chain
    }

    /// Gives a chain back to the driver; `written` is how many bytes of its writable buffers were filled,
    /// from the first on. The driver learns of it by the next `notifyDriver`.
    public func push(_ chain: DescriptorChain, written: UInt32) {
        guard isLive else { return }
        trace?.note(.bufferReturned, chain, written)
        let entry = layout.used + 4 + 8 * UInt64(nextUsed & (size - 1))
        nextUsed &+= 1
        inFlight = max(0, inFlight - 1)
        // The index last: it is what makes the entry visible.
        store(UInt32(chain.head), at: entry)
        store(min(written, chain.writableLength), at: entry + 4)
        store(nextUsed, at: layout.used + 2)
    }

    /// Interrupts the driver if buffers were given back since the last time and it wants to know (clause
    /// 2.4.7).
    public func notifyDriver() {
        guard isLive, nextUsed != announcedUsed else { return }
        let previous = announcedUsed
        announcedUsed = nextUsed
        if wantsInterrupt(since: previous) {
            trace?.noteInterrupt()
            interrupt()
        }
    }

    private func wantsInterrupt(since previous: UInt16) -> Bool {
        if features.contains(.eventIndex) {
            let event = (try? memory.read(layout.available + 4 + 2 * UInt64(size), as: UInt16.self)) ?? 0
            return nextUsed &- event &- 1 < nextUsed &- previous
        }
        if tellsAlways { return true }
        let flags = (try? memory.read(layout.available, as: UInt16.self)) ?? 0
        if flags & 1 == 0 { return true }
        return features.contains(.notifyOnEmpty) && !hasAvailable
    }

    /// Tells the driver that it need not notify: the device looks at the queue by itself for now (clause
    /// 2.4.8). With event indices saying nothing has this effect.
    public func disableNotifications() {
        guard isLive, !features.contains(.eventIndex) else { return }
        store(UInt16(1), at: layout.used)
    }

    /// Asks for notifications again. True when buffers have come in the meantime, which the driver will not
    /// mention any more: take them before waiting (lguest ABI 11.1 item 42).
    public func enableNotifications() -> Bool {
        guard isLive else { return false }
        if features.contains(.eventIndex) {
            store(nextAvailable, at: layout.used + 4 + 8 * UInt64(size))
        } else {
            store(UInt16(0), at: layout.used)
        }
        return hasAvailable
    }

    /// The device was reset: from now on the queue does nothing.
    public func retire() { isLive = false }

    /// Where every misbehaviour of a driver ends: the queue is dead, and the transport marks the device as
    /// needing a reset (clause 2.1.2). Devices call it for requests that make no sense.
    public func driverIsBroken(_ error: VirtqueueError) {
        guard isLive else { return }
        isLive = false
        broken(error)
    }

    private func availableIndex() throws(VirtqueueError) -> UInt16 {
        try ring(layout.available + 2)
    }

    /// Reads a ring word. The address was checked by `init`, so this cannot fail.
    private func ring(_ address: UInt64) throws(VirtqueueError) -> UInt16 {
        do throws(GuestMemoryError) {
            return try memory.read(address)
        } catch {
            throw .badRing(part: "ring", address: address)
        }
    }

    private func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at address: UInt64) {
        do throws(GuestMemoryError) {
            try memory.write(value, at: address)
        } catch {
            driverIsBroken(.badRing(part: "ring", address: address))
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The asynchronous ring: 64 slots in the shared page for hypercalls that can wait. A kernel that changes many
// page table entries in a row queues them here and pays for one trap instead of many: before the hypervisor
// carries out any hypercall, it first works off the ring, in order.
import Machine

enum AsyncRing {
    static let size = UInt32(RING_SIZE)
    static let free: UInt8 = 0xFF

    /// The next slot to fill. The hypervisor keeps a cursor of its own, and both only ever go forward.
    nonisolated(unsafe) private(set) static var cursor: UInt32 = 0

    static func status(_ slot: UInt32) -> UInt8 { shared_ring_status(slot) }

    /// How many calls wait to be carried out.
    static var waiting: UInt32 {
        var count: UInt32 = 0
        for slot in 0..<size where status(slot) != free { count += 1 }
        return count
    }

    /// Queues a call, or makes it at once when all slots are taken. Says whether it was queued. `ready` is
    /// the status byte that marks the slot: the ABI takes anything but 0xFF.
    @discardableResult
    static func queue(
        _ call: Hypercall, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0, _ a4: UInt32 = 0,
        ready: UInt8 = 0
    ) -> Bool {
        // An interrupt handler might queue calls too, and must not find the cursor half moved.
        let flag = Interrupts.disable()
        defer { Interrupts.restore(flag) }
        let slot = cursor
        guard status(slot) == free else {
            call(a1, a2, a3, a4)
            return false
        }
        shared_set_ring_entry(slot, call.rawValue, a1, a2, a3, a4)
        instruction_barrier()  // the words must be there before the status says so
        shared_set_ring_status(slot, ready)
        cursor = (slot + 1) % size
        call.count()
        Hypercall.queued &+= 1
        return true
    }

    static func flush() { Hypercall.flushAsync() }
}

// SPDX-License-Identifier: Apache-2.0
//
// The page that guest and hypervisor share (`struct lguest_data`), seen from Swift. Guest and hypervisor talk
// through it without trapping: the virtual interrupt flag, the mask of blocked interrupts, the address of the
// last page fault, the time, and the ring of queued hypercalls.
import Machine

enum SharedPage {
    /// Bit 9, where the processor's own interrupt flag sits in EFLAGS.
    static let interruptFlag: UInt32 = 0x200

    static var irqEnabled: UInt32 {
        get { shared_get_irq_enabled() }
        set { shared_set_irq_enabled(newValue) }
    }

    static var blockedInterrupts: UInt32 {
        get { shared_get_blocked_interrupts() }
        set { shared_set_blocked_interrupts(newValue) }
    }

    static var irqPending: UInt32 { shared_get_irq_pending() }
    static var pageFaultAddress: UInt32 {
        get { shared_get_cr2() }
        set { shared_set_cr2(newValue) }
    }
    static var reservedBytes: UInt32 { shared_get_reserve_mem() }
    static var tscKilohertz: UInt32 { shared_get_tsc_khz() }

    /// Wall clock as of the latest interrupt. The seconds are read again afterwards, since the hypervisor may
    /// have written between our two reads.
    static var time: (seconds: UInt32, nanoseconds: UInt32) {
        while true {
            let seconds = shared_get_time_seconds()
            let nanoseconds = shared_get_time_nanoseconds()
            if shared_get_time_seconds() == seconds { return (seconds, nanoseconds) }
        }
    }

    static var physicalAddress: PhysicalAddress { VirtualAddress(value: shared_page_address()).physical }
}

// SPDX-License-Identifier: Apache-2.0
//
// Hypercalls in general: each is accepted, and none touches a register.
import Machine

enum HypercallChecks {
    static func run() {
        Check.result("hypercall/registers-and-flags-kept", Probe.run(probe_registers), 0)

        // Each call once in a harmless way. EAX must keep the number. INIT is checked at start, SHUTDOWN by
        // the end.
        keeps("hypercall/flush-async", .flushAsync)
        keeps("hypercall/new-pgtable", .newPageTable, AddressSpace.current.root.value)
        keeps("hypercall/flush-tlb-user", .flushTLB, 0)
        keeps("hypercall/flush-tlb-all", .flushTLB, 1)
        keeps("hypercall/load-idt-entry", .loadIDTEntry, 200, 0, 0)
        keeps("hypercall/set-stack", .setStack, UInt32(KERNEL_DATA), trap_stack_top_address(), 1)
        keeps("hypercall/set-stack-two-pages", .setStack, UInt32(KERNEL_DATA), trap_stack_top_address(), 2)
        keeps("hypercall/ts", .taskSwitched, 0)
        keeps("hypercall/set-clockevent-off", .setClockEvent, 0)
        let window = KernelMap.testWindow.value
        keeps("hypercall/set-pte", .setPageTableEntry, AddressSpace.current.root.value, window, 0, 0)
        let top = PagingMode.current == .twoLevel ? window >> 22 : window >> 30
        keeps("hypercall/set-pgd", .setTopEntry, AddressSpace.current.root.value, top)
        if PagingMode.current == .physicalExtension,
            let entry = AddressSpace.current.tableEntry(KernelMap.testWindow)
        {
            let index = (entry.location.value & 0xFFF) / 8
            keeps("hypercall/set-pmd", .setMiddleEntry, entry.location.page.value, index)
        }
        // An unknown table is nobody's business.
        keeps("hypercall/set-pte-of-unknown-table", .setPageTableEntry, 0x2000, 0x40_0000, 0, 0)
        keeps("hypercall/load-gdt-entry", .loadGDTEntry, GDT.scratch, 0, 0)
        keeps("hypercall/send-interrupts", .sendInterrupts)

        // Vectors that belong to the hypervisor: whatever we ask is ignored, and the hypercall goes on
        // working.
        Hypercall.loadIDTEntry(2, 0, 0x8500)
        Hypercall.loadIDTEntry(8, 0, 0x8500)
        Hypercall.loadIDTEntry(15, 0, 0x8500)
        Hypercall.loadIDTEntry(31, 0, 0x8500)
        Check.that("hypercall/reserved-vectors-ignored", true)
    }

    private static func keeps(
        _ name: StaticString, _ call: Hypercall, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0,
        _ a4: UInt32 = 0
    ) {
        Check.equal(name, call(a1, a2, a3, a4), call.rawValue)
    }
}

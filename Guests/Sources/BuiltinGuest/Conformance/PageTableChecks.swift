// SPDX-License-Identifier: Apache-2.0
//
// Page tables: that the hypervisor follows them, marks them, and forgets in time. Two address spaces have
// different pages at the same user address, each page tells which one it is, and ring 1 reads them.
import Machine

enum PageTableChecks {
    private static let user = VirtualAddress(value: 0x0070_0000)
    private static let window = KernelMap.testWindow

    nonisolated(unsafe) private static var first = AddressSpace.kernel
    nonisolated(unsafe) private static var second = AddressSpace.kernel
    nonisolated(unsafe) private static var pageA = PhysicalAddress(value: 0)
    nonisolated(unsafe) private static var pageB = PhysicalAddress(value: 0)

    private static let markA: UInt32 = 0xAAAA_0001
    private static let markB: UInt32 = 0xBBBB_0002

    static func run() {
        let before = AddressSpace.current
        first = AddressSpace()
        second = AddressSpace()
        pageA = PageFrames.allocate()
        pageB = PageFrames.allocate()
        Memory.write32(pageA, markA)
        Memory.write32(pageB, markB)

        switching()
        announcing()
        flushing()
        topEntries()
        faults()
        marks()
        kernelPages()

        before.activate()
        PageFrames.free(pageA)
        PageFrames.free(pageB)
    }

    private static func read(_ address: VirtualAddress) -> Probe.Outcome {
        Probe.run(probe_read, address.value)
    }
    private static func write(_ address: VirtualAddress, _ value: UInt32) -> Probe.Outcome {
        Probe.run(probe_write, address.value, value)
    }

    private static func switching() {
        first.map(user, to: pageA, .userPage)
        second.map(user, to: pageB, .userPage)
        first.activate()
        Check.result("paging/first-space", read(user), markA)
        second.activate()
        Check.result("paging/second-space", read(user), markB)
        first.activate()
        Check.result("paging/first-space-again", read(user), markA)

        // A change in a space that is not current.
        second.map(user, to: pageA, .userPage)
        second.activate()
        Check.result("paging/change-while-not-current", read(user), markA)
        second.map(user, to: pageB, .userPage)
        first.activate()
    }

    private static func announcing() {
        Check.result("paging/before-set-pte", read(user), markA)
        first.map(user, to: pageB, .userPage)
        Check.result("paging/set-pte-takes-effect", read(user), markB)
        // The value in the hypercall is not the entry: the entry is what our table says.
        Hypercall.setPageTableEntry(first.root.value, user.value, 0, 0)
        Check.result("paging/set-pte-value-does-not-count", read(user), markB)
        first.unmap(user)
        Check.pageFault("paging/unmapped", read(user), error: 0, address: user)
        // Nothing was there, so nothing needs to be announced.
        first.pageEntry(user)?.set(pageA, .userPage)
        Check.result("paging/absence-is-not-remembered", read(user), markA)

        // Through the ring, as kernels do it in bulk.
        first.pageEntry(user)?.set(pageB, .userPage)
        AsyncRing.queue(.setPageTableEntry, first.root.value, user.value, pageB.value | 7, 0)
        AsyncRing.flush()
        Check.result("paging/set-pte-through-the-ring", read(user), markB)
    }

    private static func flushing() {
        first.pageEntry(user)?.set(pageA, .userPage)
        Hypercall.flushTLB(0)
        Check.result("paging/flush-user", read(user), markA)
        first.pageEntry(user)?.set(pageB, .userPage)
        Hypercall.flushTLB(1)
        Check.result("paging/flush-all", read(user), markB)
        first.map(user, to: pageA, .userPage)
    }

    /// A whole page table exchanged at once.
    private static func topEntries() {
        guard let above = first.tableEntry(user) else { return }
        let oldTable = above.target
        let newTable = PageFrames.allocate()
        let index = (user.value >> 12) & (PagingMode.current.entriesPerTable - 1)
        TableEntry(location: newTable + index * PagingMode.current.entryBytes).set(pageB, .userPage)

        Check.result("paging/before-table-exchange", read(user), markA)
        above.set(newTable, .table)
        switch PagingMode.current {
        case .twoLevel: Hypercall.setTopEntry(first.root.value, user.value >> 22)
        case .physicalExtension:
            Hypercall.setMiddleEntry(above.location.page.value, (above.location.value & 0xFFF) / 8)
        }
        Check.result("paging/table-exchanged", read(user), markB)

        above.setRaw(0)
        Hypercall.setTopEntry(
            first.root.value, PagingMode.current == .twoLevel ? user.value >> 22 : user.value >> 30)
        Check.pageFault("paging/table-removed", read(user), error: 0, address: user)
        above.set(oldTable, .table)
        Check.result("paging/table-back-without-a-word", read(user), markA)
        PageFrames.free(newTable)

        guard PagingMode.current == .physicalExtension else { return }
        // Another top entry: the middle page for the second GiB is made, and announced, by `map`.
        let far = VirtualAddress(value: 0x4070_0000)
        Check.pageFault("paging/second-gib-empty", read(far), error: 0, address: far)
        first.map(far, to: pageB, .userPage)
        Check.result("paging/second-gib-mapped", read(far), markB)
    }

    private static func faults() {
        let nothing = VirtualAddress(value: 0x1234_5678)
        Check.pageFault("paging/read-of-nothing", read(nothing), error: 0, address: nothing)
        Check.pageFault("paging/write-to-nothing", write(nothing, 1), error: 2, address: nothing)
        let jump = Probe.run(probe_jump, nothing.value)
        Check.pageFault("paging/jump-to-nothing", jump, error: 0, address: nothing)
        Check.equal("paging/jump-faults-at-the-target", jump.trap.eip, nothing.value)

        // Ring 1 counts as supervisor, and must respect read-only pages like everybody else.
        first.map(user, to: pageA, .userReadOnly)
        Check.result("paging/read-only-read", read(user), markA)
        Check.pageFault("paging/read-only-write", write(user, 1), error: 3, address: user)
        Check.equal("paging/read-only-write-left-no-trace", Memory.read32(pageA), markA)
        first.map(user, to: pageA, .userPage)
        Check.result("paging/writable-write", Probe.run(probe_write, user.value, markA + 0x10), user.value)
        Check.equal("paging/writable-write-arrived", Memory.read32(pageA), markA + 0x10)
        first.map(user, to: pageA, .userReadOnly)
        Check.pageFault("paging/write-after-protection", write(user, 1), error: 3, address: user)
        Memory.write32(pageA, markA)
        first.map(user, to: pageA, .userPage)
    }

    /// Accessed and Dirty, in our own table.
    private static func marks() {
        guard let entry = first.pageEntry(user) else { return }
        func clear() {
            entry.change(clear: .accessed | .dirty)
            first.announce(user)
        }
        clear()
        _ = read(user)
        Check.that("paging/accessed-after-read", entry.flags.contains(.accessed), "entry \(hex: entry.value)")
        Check.that("paging/clean-after-read", !entry.flags.contains(.dirty), "entry \(hex: entry.value)")
        _ = write(user, markA)
        Check.that("paging/dirty-after-write", entry.flags.contains(.dirty), "entry \(hex: entry.value)")
        clear()
        _ = write(user, markA)
        Check.that(
            "paging/both-after-first-write", entry.flags.contains(.accessed | .dirty),
            "entry \(hex: entry.value)")
        // An announced value with both bits set must not hide the first write from the table.
        clear()
        Hypercall.setPageTableEntry(first.root.value, user.value, pageA.value | 0x67, 0)
        _ = write(user, markA)
        Check.that(
            "paging/dirty-despite-announced-value", entry.flags.contains(.dirty), "entry \(hex: entry.value)")
        clear()
        _ = UserMode.run(user_exit)
        let fresh = UserMode.prepare().pageEntry(UserMode.text)
        Check.that("paging/accessed-by-running-code", fresh?.flags.contains(.accessed) ?? false)
        first.activate()
    }

    /// Kernel addresses are the same in all spaces.
    private static func kernelPages() {
        first.map(window, to: pageA, .kernelPage)
        Check.result("paging/kernel-page", read(window), markA)
        second.activate()
        Check.result("paging/kernel-page-in-another-space", read(window), markA)
        first.map(window, to: pageB, .kernelPage)  // announced for the first space only
        Check.result("paging/kernel-page-changed-everywhere", read(window), markB)
        first.pageEntry(window)?.set(pageA, .kernelPage)
        Hypercall.flushTLB(1)
        Check.result("paging/kernel-page-flushed", read(window), markA)
        second.unmap(window)
        first.activate()
        Check.pageFault("paging/kernel-page-gone", read(window), error: 0, address: window)
    }
}

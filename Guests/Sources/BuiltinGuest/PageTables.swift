// SPDX-License-Identifier: Apache-2.0
//
// Page tables. We write them in our own memory exactly as for a real processor, in either of its formats: two
// levels of 1024 four-byte entries, or with PAE three levels of eight-byte ones (4, 512, 512). The hypervisor
// walks them, marks pages as accessed and dirty, and may remember what it read; so whenever an entry that was
// present changes, a hypercall says so. Entries that become present need no word.
import Machine

/// The flag bits of an entry. (Not an OptionSet: its literals would need a heap.)
struct PageFlags: Equatable {
    let rawValue: UInt32
    static let none = PageFlags(rawValue: 0)
    static let present = PageFlags(rawValue: 0x01)
    static let writable = PageFlags(rawValue: 0x02)
    static let user = PageFlags(rawValue: 0x04)
    static let accessed = PageFlags(rawValue: 0x20)
    static let dirty = PageFlags(rawValue: 0x40)

    static let kernelPage = PageFlags(rawValue: 0x03)
    static let userPage = PageFlags(rawValue: 0x07)
    static let userReadOnly = PageFlags(rawValue: 0x05)
    /// What the levels above the last one carry: everything is allowed, the last level decides.
    static let table = PageFlags(rawValue: 0x67)

    func contains(_ other: PageFlags) -> Bool { rawValue & other.rawValue == other.rawValue }
    static func | (a: PageFlags, b: PageFlags) -> PageFlags { PageFlags(rawValue: a.rawValue | b.rawValue) }
}

/// Which format this boot uses. Chosen before the first hypercall (`pae` on the command line), for good.
enum PagingMode {
    case twoLevel, physicalExtension

    static let current: PagingMode =
        start_state_copy().physical_extension != 0 ? .physicalExtension : .twoLevel

    var name: StaticString { self == .twoLevel ? "two-level page tables" : "PAE page tables" }
    var entryBytes: UInt32 { self == .twoLevel ? 4 : 8 }
    /// Address bits below the index into the table above the last one: such an entry covers 4 MiB, or 2 MiB.
    var tableShift: UInt32 { self == .twoLevel ? 22 : 21 }
    var entriesPerTable: UInt32 { self == .twoLevel ? 1024 : 512 }
}

/// One entry, where it lies in memory. The high half of a PAE entry is always zero: we have less than 4 GiB.
struct TableEntry {
    let location: PhysicalAddress

    var value: UInt32 { Memory.read32(location) }
    var flags: PageFlags { PageFlags(rawValue: value & 0xFFF) }
    var target: PhysicalAddress { PhysicalAddress(value: value).page }

    func set(_ target: PhysicalAddress, _ flags: PageFlags) { setRaw(target.value | flags.rawValue) }

    func setRaw(_ value: UInt32) {
        if PagingMode.current == .physicalExtension { Memory.write32(location + 4, 0) }
        Memory.write32(location, value)
    }

    /// Changes flags behind the hypervisor's back; the caller announces it.
    func change(set: PageFlags = .none, clear: PageFlags = .none) {
        setRaw(value & ~clear.rawValue | set.rawValue)
    }
}

/// One set of page tables. All of them share the tables for kernel addresses.
struct AddressSpace: Equatable {
    let root: PhysicalAddress

    nonisolated(unsafe) static var kernel = AddressSpace(emptyIn: PhysicalAddress(value: 0))
    nonisolated(unsafe) private(set) static var current = AddressSpace(emptyIn: PhysicalAddress(value: 0))

    /// An empty one in the given page: the kernel's own, from which all others take their upper part.
    init(emptyIn page: PhysicalAddress) { root = page }

    /// A new one: nothing below PAGE_OFFSET, the kernel above.
    init() {
        root = PageFrames.allocate()
        switch PagingMode.current {
        case .twoLevel:
            let first = UInt32(PAGE_OFFSET) >> 22
            for index in first..<1024 {
                Memory.write32(root + index * 4, Memory.read32(AddressSpace.kernel.root + index * 4))
            }
        case .physicalExtension:
            Memory.write32(root + 3 * 8, Memory.read32(AddressSpace.kernel.root + 3 * 8))
        }
    }

    /// Makes the hypervisor use it from now on.
    func activate() {
        guard self != AddressSpace.current else { return }
        AddressSpace.current = self
        Hypercall.newPageTable(root.value)
    }

    // MARK: walking

    /// The entry that covers the page's table: in the directory, or with PAE in the middle level. Makes the
    /// middle level if asked to.
    func tableEntry(_ address: VirtualAddress, create: Bool = false) -> TableEntry? {
        let mode = PagingMode.current
        var table = root
        if mode == .physicalExtension {
            let top = TableEntry(location: root + (address.value >> 30) * 8)
            if !top.flags.contains(.present) {
                guard create else { return nil }
                top.set(PageFrames.allocate(), .present)  // the top level may carry no other bit
                // A processor reads the four top entries only when it switches tables, so this one is
                // announced.
                Hypercall.setTopEntry(root.value, address.value >> 30)
            }
            table = top.target
        }
        let index = (address.value >> mode.tableShift) & (mode.entriesPerTable - 1)
        return TableEntry(location: table + index * mode.entryBytes)
    }

    /// The entry for one page. Makes the tables on the way there if asked to.
    func pageEntry(_ address: VirtualAddress, create: Bool = false) -> TableEntry? {
        guard let above = tableEntry(address, create: create) else { return nil }
        if !above.flags.contains(.present) {
            guard create else { return nil }
            above.set(PageFrames.allocate(), .table)
        }
        let mode = PagingMode.current
        let index = (address.value >> 12) & (mode.entriesPerTable - 1)
        return TableEntry(location: above.target + index * mode.entryBytes)
    }

    // MARK: changing

    /// Maps a page. Says so to the hypervisor only if something else was there before.
    func map(_ address: VirtualAddress, to frame: PhysicalAddress, _ flags: PageFlags) {
        guard let entry = pageEntry(address, create: true) else { return }
        let before = entry.flags
        entry.set(frame, flags)
        if before.contains(.present) { announce(address) }
    }

    func unmap(_ address: VirtualAddress) {
        guard let entry = pageEntry(address) else { return }
        entry.setRaw(0)
        announce(address)
    }

    /// SET_PTE: the entry for this page has changed, forget what you knew.
    func announce(_ address: VirtualAddress) {
        Hypercall.setPageTableEntry(root.value, address.value, pageEntry(address)?.value ?? 0, 0)
    }
}

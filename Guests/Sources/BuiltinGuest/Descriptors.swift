// SPDX-License-Identifier: Apache-2.0
//
// Segments and gates: the two kinds of eight-byte descriptor that an x86 kernel hands out. Ours go to the
// hypervisor, one hypercall each; it keeps the real tables, and raises privilege 0 to 1 on the way, so that
// we can write them down as if we were an ordinary kernel.
import Machine

/// A segment descriptor, as the two words that the hypercall takes.
struct SegmentDescriptor {
    enum Kind: UInt32 {
        case data = 0x2  // writable
        case code = 0xA  // readable
    }

    var low: UInt32
    var high: UInt32

    init(low: UInt32, high: UInt32) {
        self.low = low
        self.high = high
    }

    /// `limit` is the last offset, in pages when `pages` says so, else in bytes.
    init(
        _ kind: Kind, base: UInt32, limit: UInt32, pages: Bool, privilege: UInt32, present: Bool = true
    ) {
        low = (base & 0xFFFF) << 16 | (limit & 0xFFFF)
        high = base & 0xFF00_0000 | (base >> 16) & 0xFF | limit & 0xF0000
        high |= kind.rawValue << 8
        high |= 1 << 12  // a segment, not a system descriptor
        high |= privilege << 13
        high |= present ? 1 << 15 : 0
        high |= 1 << 22  // 32-bit
        high |= pages ? 1 << 23 : 0
    }

    static func flat(_ kind: Kind, privilege: UInt32) -> SegmentDescriptor {
        SegmentDescriptor(kind, base: 0, limit: 0xFFFFF, pages: true, privilege: privilege)
    }

    static let empty = SegmentDescriptor(low: 0, high: 0)
}

enum GDT {
    static let entries: UInt32 = 32
    /// Entries that only the checks use.
    static let scratch: UInt32 = 20
    static let firstTLS: UInt32 = 6

    /// Sends the whole table, as kernels do.
    static func load() {
        for index in 0..<entries {
            switch index {
            case UInt32(KERNEL_CODE) >> 3: set(index, .flat(.code, privilege: 0))
            case UInt32(KERNEL_DATA) >> 3: set(index, .flat(.data, privilege: 0))
            case UInt32(USER_CODE) >> 3: set(index, .flat(.code, privilege: 3))
            case UInt32(USER_DATA) >> 3: set(index, .flat(.data, privilege: 3))
            default: set(index, .empty)
            }
        }
    }

    static func set(_ index: UInt32, _ descriptor: SegmentDescriptor) {
        Hypercall.loadGDTEntry(index, descriptor.low, descriptor.high)
    }

    /// The three thread-local entries, all at once. `descriptors` are 24 bytes in memory.
    static func loadTLS(_ descriptors: VirtualAddress) {
        Hypercall.loadTLS(descriptors.physical.value, 0)
    }
}

enum IDT {
    enum Kind: UInt32 {
        /// Interrupts are disabled on arrival.
        case interrupt = 0xE
        /// Interrupts stay as they are.
        case trap = 0xF
    }

    /// Sends the whole table. Some vectors belong to the hypervisor (2, 8, 15 and the hypercall's own); it
    /// ignores what we say about those.
    static func load() {
        for vector in 0..<UInt32(256) { setDefault(vector) }
    }

    static func setDefault(_ vector: UInt32) {
        switch vector {
        case 3, 4, UInt32(SYSTEM_CALL_VECTOR):
            set(vector, .trap, privilege: 3)  // programs may raise these themselves
        case 14:
            // Another page fault would overwrite the address in the shared page, so let nothing come in
            // between.
            set(vector, .interrupt)
        case 32...:
            trap_entry_address(vector) == 0 ? clear(vector) : set(vector, .interrupt)
        default:
            set(vector, .trap)
        }
    }

    /// `selector` is what the gate says; the hypervisor puts the kernel's code segment there whatever it is.
    static func set(
        _ vector: UInt32, _ kind: Kind, privilege: UInt32 = 0, selector: UInt32 = UInt32(KERNEL_CODE)
    ) {
        let target = trap_entry_address(vector)
        let low = selector << 16 | target & 0xFFFF
        let high = target & 0xFFFF_0000 | 1 << 15 | privilege << 13 | kind.rawValue << 8
        Hypercall.loadIDTEntry(vector, low, high)
    }

    static func clear(_ vector: UInt32) { Hypercall.loadIDTEntry(vector, 0, 0) }
}

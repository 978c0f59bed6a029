// SPDX-License-Identifier: Apache-2.0
//
// `struct lguest_data`, the page that guest and host share, was laid out in several ways over the
// years. The guest does not say which; it is recognised from what the guest initialised statically
// (docs: lguest ABI 3.1 and 3.4).

import GuestMemory

/// Where the fields are, as offsets in bytes; nil where a generation has no such field.
struct LguestDataLayout: Equatable {
    let irqEnabled: UInt32 = 0
    let blockedInterrupts: UInt32 = 4
    let cr2: UInt32 = 8
    var time: UInt32? = 0x0C
    var irqPending: UInt32?
    var hcallStatus: UInt32
    var hcalls: UInt32
    /// Bytes of a ring entry: 16 or 20.
    var hcallSize: UInt32
    var reserveMem: UInt32
    var tscKHz: UInt32
    var pgdir: UInt32?
    var noirqStart: UInt32?
    var noirqEnd: UInt32?
    var noirqIret: UInt32?
    /// Linux 2.6.23 has neither.
    var kernelAddress: UInt32?
    var syscallVector: UInt32?
    /// A number for the guest, 16 bits wide, of which 2.6.23 makes its Ethernet address.
    var guestID: UInt32?
    var size: UInt32 { (syscallVector ?? noirqEnd ?? tscKHz) + 4 }

    static let ringLength: UInt32 = 64
    /// Longer than any layout.
    static let window = 0x580

    /// Offset of the 64 status bytes, all 0xFF, if `bytes` look like the structure at all.
    static func statusOffset(_ bytes: [UInt8]) -> UInt32? {
        guard bytes.count >= 0x60, bytes[4] == 1 else { return nil }
        let starts: [Int] = [0x18, 0x14, 0x0C]
        for start in starts {
            let run = bytes[start..<start + 64].allSatisfy { $0 == 0xFF }
            if run && bytes[start - 1] != 0xFF && bytes[start + 64] != 0xFF { return UInt32(start) }
        }
        return nil
    }

    /// The layout of Linux 2.6.23, for a kernel that is known to be one; nil when `bytes` do not look like it.
    init?(first bytes: [UInt8]) {
        guard let status = LguestDataLayout.statusOffset(bytes), status != 0x18 else { return nil }
        // The snapshots before the release had no wall clock in the page.
        if status == 0x0C { time = nil }
        (hcallStatus, hcalls, hcallSize) = (status, status + 64, 16)
        reserveMem = hcalls + 64 * hcallSize
        guestID = reserveMem + 4
        tscKHz = reserveMem + 8
        noirqStart = reserveMem + 12
        noirqEnd = reserveMem + 16
    }

    /// Recognises the layout; nil when it is none that we know.
    init?(_ bytes: [UInt8]) {
        guard let status = LguestDataLayout.statusOffset(bytes), status != 0x0C else { return nil }
        func word(_ offset: UInt32) -> UInt32 {
            let at = Int(offset)
            guard at + 4 <= bytes.count else { return 0 }
            return bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        hcallStatus = status
        hcalls = status + 64
        irqPending = status == 0x18 ? 0x14 : nil
        let entry: UInt32 = status == 0x18 ? 20 : 16
        hcallSize = entry
        let reserve = hcalls + 64 * entry
        reserveMem = reserve
        tscKHz = reserve + 4
        // kernel_address (PAGE_OFFSET, a multiple of 1 MiB in the upper three quarters) and 0x80 end it.
        var found: UInt32?
        for offset in stride(from: reserve + 12, through: reserve + 24, by: 4) {
            let address = word(offset - 4)
            if word(offset) == 0x80 && address >= 0x4000_0000 && address & 0xF_FFFF == 0 {
                found = offset
                break
            }
        }
        guard let vector = found else { return nil }
        syscallVector = vector
        kernelAddress = vector - 4
        switch (vector - 4 - reserve) / 4 {
        case 5:
            pgdir = reserve + 8
            noirqStart = reserve + 12
            noirqEnd = reserve + 16
        case 4:
            noirqStart = reserve + 8
            noirqEnd = reserve + 12
        default: noirqIret = reserve + 8
        }
    }
}

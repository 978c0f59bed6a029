// SPDX-License-Identifier: Apache-2.0
//
// Loads of segment registers by code that runs again and again.

import CPUTestSupport
import Testing
import X86

@testable import Engine

@Suite("Segment registers")
struct SegmentTests {
    private static let table: UInt32 = 0x2_0000

    /// A descriptor of writable data at privilege 3.
    private static func data(base: UInt32) -> UInt64 {
        0x00CF_F300_0000_FFFF | UInt64(base & 0xFF_FFFF) << 16 | UInt64(base >> 24) << 56
    }

    @Test("are loaded from memory and by POP, as the table says then", arguments: UserGuest.Kind.allCases)
    func loads(_ kind: UserGuest.Kind) throws {
        let guest = try UserGuest(kind)
        guest.cpu.system.gdtBase = Self.table
        guest.cpu.system.gdtLimit = 31
        for (n, base) in [(1, UInt32(0)), (2, 0x5000), (3, 0x6000)] {
            try guest.memory.write(Self.data(base: base), at: UInt64(Self.table) + UInt64(n) * 8)
        }
        for (n, selector) in [0x0B, 0, 0x13, 0x1B].enumerated() {
            try guest.memory.write(UInt16(selector), at: 0x3000 + UInt64(n) * 2)
        }
        for (address, value) in [(0x5000, 1), (0x6000, 20), (0x7000, 300)] {
            try guest.memory.write(UInt32(value), at: UInt64(address))
        }
        // mov es,[0x3000]; mov fs,[0x3002]; mov fs,[0x3004]; push dword [0x3006]; pop gs; add ebx,fs:[0]; add ebx,gs:[0]
        let body: [UInt8] =
            [0x8E, 0x05] + little(0x3000) + [0x8E, 0x25] + little(0x3002) + [0x8E, 0x25] + little(0x3004)
            + [0xFF, 0x35] + little(0x3006) + [0x0F, 0xA9]
            + [0x64, 0x03, 0x1D] + little(0) + [0x65, 0x03, 0x1D] + little(0)
        // mov ecx,100; L: ...; dec ecx; jne L
        let back = UInt8(bitPattern: Int8(-(body.count + 3)))
        try guest.load([0xB9] + little(100) + body + [0x49, 0x75, back] + UserGuest.end, at: 0x1000)
        #expect(guest.run(from: 0x1000) == UserGuest.done)
        #expect(guest.cpu[r32: GPR.ebx] == 2100)
        #expect(guest.cpu[segment: SegmentIndex.es].selector == 0x0B)
        #expect(guest.cpu[segment: SegmentIndex.fs].selector == 0x13)
        // The table changes without a word.
        try guest.memory.write(Self.data(base: 0x7000), at: UInt64(Self.table) + 2 * 8)
        #expect(guest.run(from: 0x1000) == UserGuest.done)
        #expect(guest.cpu[r32: GPR.ebx] == 2100 + 32_000)
        // A selector beyond the table, after all those that were right.
        try guest.memory.write(0x23 as UInt16, at: 0x3004)
        #expect(guest.run(from: 0x1000) == .exception(.generalProtection(0x20)))
        #expect(guest.cpu.eip == 0x1005 + 12)
    }
}

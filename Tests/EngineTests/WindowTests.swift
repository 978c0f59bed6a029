// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Support
import Testing
import X86

@testable import Engine

/// When windows come and go, and that many address spaces do not get mixed up.
@Suite("Windows")
struct WindowTests {
    private static func windowed(_ use: WindowUse) throws -> UserGuest {
        try UserGuest { try Translator(memory: $0, storage: $1, windows: use) }
    }

    /// Value of a counter.
    private func count(_ guest: UserGuest, _ counter: Counter) -> UInt64 {
        guest.engine.details.first { $0.counter == counter }?.value ?? 0
    }

    /// xor eax,eax; L: mov [0x50000],ecx; add eax,[0x50000]; dec ecx; jne L
    private static let loop: [UInt8] =
        [0x31, 0xC0, 0x89, 0x0D] + little(0x5_0000) + [0x03, 5] + little(0x5_0000) + [0x49, 0x75, 0xF1]

    private func sum(_ guest: UserGuest, _ n: UInt32) {
        guest.cpu[r32: GPR.ecx] = n
        #expect(guest.run(from: 0x1000, limit: UInt64(n) * 4 + 1_000_000) == UserGuest.done)
        #expect(guest.cpu[r32: GPR.eax] == UInt32(truncatingIfNeeded: UInt64(n) * UInt64(n + 1) / 2))
    }

    @Test("a window is earned, lost to changes of the mapping, and earned again")
    func openedDroppedReopened() throws {
        let guest = try Self.windowed(.whenEarned)
        // The policy is made for kernels that say which address space is current.
        guest.storage.tables.setSharedBase(0xC000_0000)
        guest.cpu.activateAddressSpace()
        guest.cpu.selectTables()
        try guest.load(Self.loop + UserGuest.end, at: 0x1000)
        sum(guest, 1000)
        #expect(count(guest, .windowsOpened) == 0)
        sum(guest, 2_000_000)
        try #require(count(guest, .windowsOpened) == 1, "this host has no windows")
        #expect(count(guest, .windowPagesMapped) > 0)
        for n in 0..<1000 as Range<UInt32> {
            try guest.map(0x5_0000, to: 0x20_0000 + n % 64 << 12)
            sum(guest, 10)
        }
        #expect(count(guest, .windowsDropped) == 1)
        sum(guest, 6_000_000)
        #expect(count(guest, .windowsOpened) == 2)
        #expect(count(guest, .windowsDropped) == 1)
    }

    /// L: mov eax,[esi]; xor eax,[esi+4]; xor edx,1; add esi,0x1000; and esi,0x3FFFFF; dec ecx; jne L. The flags are dead
    /// behind the accesses for the first time: there is where this block looks at its budget.
    private static let pages: [UInt8] =
        [0x8B, 0x06, 0x33, 0x46, 4, 0x83, 0xF2, 1, 0x81, 0xC6] + little(0x1000) + [0x81, 0xE6]
        + little(0x3F_FFFF) + [0x49, 0x75, 0xE9]

    @Test("a window that goes while a loop runs in it lets the loop end at its budget")
    func lostInLoop() throws {
        let guest = try Self.windowed(.whenEarned)
        guest.storage.tables.setSharedBase(0xC000_0000)
        guest.cpu.activateAddressSpace()
        guest.cpu.selectTables()
        try guest.load(Self.loop + UserGuest.end, at: 0x1000)
        try guest.load(Self.pages + UserGuest.end, at: 0x2000)
        sum(guest, 2_000_000)
        try #require(count(guest, .windowsOpened) == 1, "this host has no windows")
        // Each new page costs the window something, until nothing is left.
        guest.cpu[r32: GPR.esi] = 0x10_0000
        guest.cpu[r32: GPR.ecx] = 100_000
        guest.cpu.eip = 0x2000
        let before = guest.cpu.instructions
        #expect(guest.engine.run(guest.cpu, budget: 20_000) == .budget)
        #expect(guest.cpu.instructions - before < 21_000)
        #expect(count(guest, .windowsDropped) == 1)
        #expect(guest.goOn() == UserGuest.done)
        #expect(guest.cpu.instructions - before == 700_001)
    }

    @Test(
        "64 address spaces in turn, more than are kept, each with code and data of its own",
        arguments: [WindowUse.never, .atOnce])
    func manySpaces(_ use: WindowUse) throws {
        let guest = try Self.windowed(use)
        guest.storage.tables.setSharedBase(0xC000_0000)
        // Space n: directory at 0x600000 + n pages, its table at 0x680000 + n pages. The code at 0x1000 and the data at
        // 0x50000 are pages of its own.
        for n in 0..<64 as Range<UInt32> {
            let (directory, table) = (0x60_0000 + n << 12, 0x68_0000 + n << 12)
            try guest.memory.write(table | 7, at: UInt64(directory))
            for page in 0..<UInt32(1024) {
                try guest.memory.write(page << 12 | 7, at: UInt64(table + page * 4))
            }
            try guest.memory.write(0x70_0007 + n << 12, at: UInt64(table + 1 * 4))
            try guest.memory.write(0x78_0007 + n << 12, at: UInt64(table + 0x50 * 4))
            // add dword [0x50000],n; dec ecx; jne
            let code: [UInt8] = [0x81, 5] + little(0x5_0000) + little(n) + [0x49, 0x75, 0xF3]
            try guest.load(code + UserGuest.end, at: UInt64(0x70_0000 + n << 12))
        }
        for round in 1...3 {
            for n in 0..<64 as Range<UInt32> {
                guest.cpu.system.cr3 = 0x60_0000 + n << 12
                guest.cpu.activateAddressSpace()
                guest.cpu.selectTables()
                guest.cpu[r32: GPR.ecx] = 1000
                #expect(guest.run(from: 0x1000) == UserGuest.done)
                #expect(try guest.word(UInt64(0x78_0000 + n << 12)) == n * 1000 * UInt32(round))
            }
        }
        if use == .atOnce { #expect(count(guest, .windowsOpened) >= 64) }
    }
}

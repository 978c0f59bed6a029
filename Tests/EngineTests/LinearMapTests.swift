// SPDX-License-Identifier: Apache-2.0

import CPUTestSupport
import GuestMemory
import Testing

@testable import X86

@Suite("The kernel's linear map")
struct LinearMapTests {
    @Test("shows by global pages in a row, but only where large pages could be")
    func globalPages() throws {
        let memory = try GuestMemory(bytes: 16 << 20)
        let storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
        let tables = storage.tables
        func fill(_ first: UInt32, frame: UInt32) {
            for n in 0..<UInt32(64) {
                let host = UInt(bitPattern: memory.base) + UInt(frame + n) << 12
                tables.fill(
                    page: first + n, host: host, user: false, write: true, execute: false, global: true)
            }
        }
        // A file in memory, mapped in a row.
        fill(0xD_0123, frame: 0x200)
        #expect(tables.linearMap.first == tables.linearMap.end)
        fill(0xC_0100, frame: 0x100)
        #expect(tables.linearMap.origin == 0xC_0000)
        #expect(tables.linearMap.end == 0xC_1000)
        fill(0xD_0323, frame: 0x300)
        #expect(tables.linearMap.origin == 0xC_0000)
    }

    /// Page tables of the linear map of 16 MiB at 0xC0000000.
    struct Mapped {
        enum Kind: CaseIterable {
            case twoLevel, twoLevelLarge, pae, paeLarge
        }

        let memory: GuestMemory
        let storage: CPUStorage
        let isWide: Bool
        let isLarge: Bool
        var cpu: CPU { storage.cpu }
        var tables: TranslationTables { storage.tables }
        static let base: UInt32 = 0xC000_0000
        static let frames: UInt32 = 4096

        /// Where the entries are: those of the page directory, and those of the page tables in a row.
        var directory: UInt64 { isWide ? 0x40_1000 : 0x40_0000 + 768 * 4 }
        let leaves: UInt64 = 0x40_2000
        var framesPerDirectory: UInt32 { isWide ? 512 : 1024 }

        init(_ kind: Kind) throws {
            memory = try GuestMemory(bytes: UInt64(Mapped.frames) << 12)
            storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
            isWide = kind == .pae || kind == .paeLarge
            isLarge = kind == .twoLevelLarge || kind == .paeLarge
            cpu.resetFlat()
            for frame in 0..<Mapped.frames { try set(frame, frame << 12 | 0x63) }
            for n in 0..<Mapped.frames / framesPerDirectory {
                let table = UInt32(leaves) + n << 12
                try setDirectory(n, isLarge ? n * framesPerDirectory << 12 | 0xE3 : table | 0x63)
            }
            if isWide { try memory.write(UInt64(0x40_1001), at: 0x40_0000 + 3 * 8) }
            try cpu.setCR4(
                (isWide ? ControlBits.pae : 0) | (isLarge ? ControlBits.pse : 0) | ControlBits.pge)
            try cpu.setCR3(0x40_0000)
            try cpu.setCR0(ControlBits.pe | ControlBits.pg | ControlBits.wp)
            tables.setSharedBase(Mapped.base)
            cpu.activateAddressSpace()
            cpu.selectTables()
        }

        private func put(_ entry: UInt32, _ table: UInt64, _ index: UInt32) throws {
            if isWide {
                try memory.write(UInt64(entry), at: table + UInt64(index) * 8)
            } else {
                try memory.write(entry, at: table + UInt64(index) * 4)
            }
        }

        func set(_ frame: UInt32, _ entry: UInt32) throws { try put(entry, leaves, frame) }
        func setDirectory(_ index: UInt32, _ entry: UInt32) throws { try put(entry, directory, index) }

        func touch(_ frame: UInt32, _ access: AccessKind = .read) {
            _ = try? cpu.page(Mapped.base + frame << 12, access, user: false)
        }

        /// Where the tables have the page.
        func frame(_ frame: UInt32) -> UInt64 {
            let index = Int(Mapped.base >> 12 + frame)
            return UInt64(
                tables.current.kernelRead[index] &+ UInt(index) << 12 &- UInt(bitPattern: memory.base))
        }

        func rights(_ frame: UInt32) -> UInt8 { tables.kernelRights(Mapped.base >> 12 + frame) }
    }

    @Test("stays over a flush of everything where its tables say the same", arguments: Mapped.Kind.allCases)
    func keeps(_ kind: Mapped.Kind) throws {
        let guest = try Mapped(kind)
        for frame in 0..<Mapped.frames { guest.touch(frame, .write) }
        guest.cpu.flushChangedTranslations()
        #expect((0..<Mapped.frames).allSatisfy { guest.rights($0) == 2 })
        // One entry changes: its region goes.
        if guest.isLarge {
            try guest.setDirectory(1, guest.framesPerDirectory << 12 | 0xE1)
        } else {
            try guest.set(guest.framesPerDirectory, guest.framesPerDirectory << 12 | 0x61)
        }
        guest.cpu.flushChangedTranslations()
        #expect(guest.rights(guest.framesPerDirectory - 1) == 2)
        #expect(guest.rights(guest.framesPerDirectory) == 0)
        #expect(guest.rights(2 * guest.framesPerDirectory) == 2)
        guest.touch(guest.framesPerDirectory)
        #expect(guest.rights(guest.framesPerDirectory) == 1)
        // A whole table.
        try guest.setDirectory(0, 0)
        guest.cpu.flushChangedTranslations()
        #expect(guest.rights(5) == 0)
        #expect(guest.rights(2 * guest.framesPerDirectory) == 2)
        guest.cpu.flushTranslations()
        #expect((0..<Mapped.frames).allSatisfy { guest.rights($0) == 0 })
    }

    @Test("forgets what was filled from an entry that has been there only for a while")
    func keepsNothingPassing() throws {
        let guest = try Mapped(.pae)
        try guest.set(7, 0)
        guest.touch(6)
        // Not present: no flush needed.
        try guest.set(7, 7 << 12 | 0x63)
        guest.touch(7)
        #expect(guest.rights(7) == 2)
        try guest.set(7, 0)
        guest.cpu.flushChangedTranslations()
        #expect(guest.rights(7) == 0)
    }

    @Test("after any changes and a flush, has what a walk finds", arguments: Mapped.Kind.allCases)
    func random(_ kind: Mapped.Kind) throws {
        let guest = try Mapped(kind)
        var random = Random(seed: 5)
        var kept = 0
        for _ in 0..<400 {
            for _ in 0..<random.below(4) {
                let frame = UInt32(random.below(Int(Mapped.frames)))
                try change(guest, frame, &random)
                for _ in 0..<20 {
                    let near = frame & ~511 + UInt32(random.below(512))
                    guest.touch(random.pick([frame, near]), random.pick([.read, .write]))
                }
            }
            guest.cpu.flushChangedTranslations()
            for frame in 0..<Mapped.frames where guest.rights(frame) != 0 {
                kept += 1
                let linear = Mapped.base + frame << 12
                let leaf = guest.cpu.peekLeaf(linear)
                try #require(leaf.map { guest.frame(frame) == $0.address } == true)
                if guest.rights(frame) == 2 {
                    try #require(try guest.cpu.translate(linear, .read, user: false).writable)
                }
            }
        }
        #expect(kept > 1000)
    }

    private func change(_ guest: Mapped, _ frame: UInt32, _ random: inout Random) throws {
        let number = frame / guest.framesPerDirectory
        let table = UInt32(guest.leaves) + number << 12
        let directory = guest.isLarge ? number * guest.framesPerDirectory << 12 | 0x80 : table
        switch random.below(8) {
        case 0: try guest.setDirectory(number, directory | 0x63)
        case 1: try guest.setDirectory(number, directory | 0x21)
        case 2: try guest.setDirectory(number, 0)
        default:
            try guest.set(
                frame, random.pick([frame << 12 | 0x63, frame << 12 | 0x43, frame << 12 | 0x21, 0, 0x9063]))
        }
    }
}

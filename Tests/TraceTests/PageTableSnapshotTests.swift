// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

@testable import Trace

@Suite("Page-table snapshots")
struct PageTableSnapshotTests {
    @Test("two levels: neighbours with equal rights are one range, whatever their used bits")
    func twoLevels() throws {
        let memory = try GuestMemory(bytes: 1 << 20)
        try memory.write(UInt32(0x2000 | 7), at: 0x1000 + 768 * 4)
        try memory.write(UInt32(0x40_0000 | 0x83), at: 0x1000 + 4)
        for n in 0..<4 {
            try memory.write(UInt32(0x8000 + n << 12 | (n == 2 ? 0x67 : 0x07)), at: UInt64(0x2000 + n * 4))
        }
        try memory.write(UInt32(0x9000 | 5), at: 0x2000 + 4 * 4)
        let found = PageTableSnapshot(memory, root: 0x1000, pae: false, largePages: true)
        #expect(
            found.ranges == [
                MappedRange(
                    linear: 0x40_0000, pages: 1024, physical: 0x40_0000, isWritable: true, isUser: false,
                    accessed: 0,
                    dirty: 0),
                MappedRange(
                    linear: 0xC000_0000, pages: 4, physical: 0x8000, isWritable: true, isUser: true,
                    accessed: 1, dirty: 1),
                MappedRange(
                    linear: 0xC000_4000, pages: 1, physical: 0x9000, isWritable: false, isUser: true,
                    accessed: 0, dirty: 0),
            ])
        #expect(found.tables == 2 && !found.isCut)
    }

    @Test("three levels")
    func threeLevels() throws {
        let memory = try GuestMemory(bytes: 1 << 20)
        try memory.write(UInt64(0x2001), at: 0x1000 + 3 * 8)
        try memory.write(UInt64(0x3067), at: 0x2000 + 5 * 8)
        try memory.write(UInt64(0x8000_0000_0004_5021), at: 0x3000 + 7 * 8)
        let found = PageTableSnapshot(memory, root: 0x1000, pae: true, largePages: true)
        let linear: UInt32 = 3 << 30 | 5 << 21 | 7 << 12
        #expect(
            found.ranges == [
                MappedRange(
                    linear: linear, pages: 1, physical: 0x4_5000, isWritable: false, isUser: false,
                    accessed: 1, dirty: 0)
            ])
    }

    @Test("tables that point anywhere, and to themselves, are walked to an end")
    func hostile() throws {
        let memory = try GuestMemory(bytes: 1 << 20)
        for n in 0..<UInt64(1024) { try memory.write(UInt32(0x1000 | 7), at: 0x1000 + n * 4) }
        #expect(PageTableSnapshot(memory, root: 0x1000, pae: false, largePages: false).isCut)
        for n in 0..<UInt64(512) { try memory.write(UInt64.max & ~0x80, at: 0x1000 + n * 8) }
        _ = PageTableSnapshot(memory, root: 0x1000, pae: true, largePages: false)
        #expect(PageTableSnapshot(memory, root: 0xFFFF_F000, pae: false, largePages: true).ranges.isEmpty)
    }
}

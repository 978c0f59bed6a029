// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

@testable import GuestInterfaces

@Suite("lguest_data layouts")
struct LayoutTests {
    @Test("each generation is recognised by what it initialised")
    func generations() throws {
        let g2 = try #require(LguestDataLayout(Generation.g2.bytes()))
        #expect(g2.hcallSize == 16 && g2.hcalls == 0x54 && g2.reserveMem == 0x454 && g2.pgdir == 0x45C)
        #expect(g2.noirqStart == 0x460 && g2.noirqEnd == 0x464 && g2.irqPending == nil && g2.size == 0x470)

        let g4 = try #require(LguestDataLayout(Generation.g4.bytes()))
        #expect(g4.hcallSize == 20 && g4.reserveMem == 0x558 && g4.tscKHz == 0x55C && g4.pgdir == 0x560)
        #expect(g4.noirqStart == 0x564 && g4.noirqEnd == 0x568 && g4.irqPending == 0x14 && g4.size == 0x574)

        let g6 = try #require(LguestDataLayout(Generation.g6.bytes()))
        #expect(g6.pgdir == nil && g6.noirqStart == 0x560 && g6.noirqEnd == 0x564 && g6.noirqIret == nil)

        let g8 = try #require(LguestDataLayout(Generation.g8.bytes()))
        #expect(g8.pgdir == nil && g8.noirqIret == 0x560 && g8.noirqStart == nil && g8.size == 0x56C)
    }

    @Test(
        "any PAGE_OFFSET",
        arguments: [0x4000_0000, 0x7800_0000, 0x8000_0000, 0xB000_0000, 0xC000_0000] as [UInt32])
    func splits(pageOffset: UInt32) {
        #expect(LguestDataLayout(Generation.g8.bytes(pageOffset: pageOffset))?.kernelAddress == 0x564)
        #expect(LguestDataLayout(Generation.g6.bytes(pageOffset: pageOffset))?.kernelAddress == 0x568)
    }

    @Test("what is no shared page is refused")
    func refused() {
        #expect(LguestDataLayout([]) == nil)
        #expect(LguestDataLayout([UInt8](repeating: 0xFF, count: 0x600)) == nil)
        #expect(LguestDataLayout([UInt8](repeating: 0, count: 0x600)) == nil)
        #expect(LguestDataLayout(Array(Generation.g8.bytes().prefix(0x100))) == nil)
        #expect(LguestDataLayout(Generation.g8.bytes(vector: 0x81)) == nil)
    }
}

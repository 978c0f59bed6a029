// SPDX-License-Identifier: Apache-2.0
//
// What a flush of everything leaves in the tables of two address spaces: nothing that their page tables do not say.

import CPUTestSupport
import GuestMemory
import Testing

@testable import X86

@Suite("Flushes of everything")
struct FlushTests {
    /// Two PAE address spaces with 512 pages of their own at 0x400000, and 512 that they share at 0xE0000000, none of
    /// them in a linear map.
    struct Spaces {
        let memory: GuestMemory
        let storage: CPUStorage
        var cpu: CPU { storage.cpu }
        static let own: UInt32 = 0x40_0000
        static let shared: UInt32 = 0xE000_0000

        func root(_ space: Int) -> UInt32 { 0x10_0000 + UInt32(space) * 0x1_0000 }
        /// The page table of an address space, or with 2 the shared one.
        func table(_ space: Int) -> UInt64 { space == 2 ? 0x13_0000 : UInt64(root(space)) + 0x2000 }

        init() throws {
            memory = try GuestMemory(bytes: 16 << 20)
            storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
            cpu.resetFlat()
            cpu.system.walksTopLevelInMemory = true
            try memory.write(table(2) | 0x63, at: 0x14_0000 + 256 * 8)
            for space in 0..<2 {
                let directory = UInt64(root(space)) + 0x1000
                try memory.write(directory | 1, at: UInt64(root(space)))
                try memory.write(0x14_0001 as UInt64, at: UInt64(root(space)) + 24)
                try memory.write(table(space) | 0x67, at: directory + 2 * 8)
            }
            for space in 0...2 { for page in 0..<512 { try set(space, page, frame: page, 0x67) } }
            try cpu.setCR4(ControlBits.pae | ControlBits.pge)
            cpu.system.efer = ControlBits.eferNXE
            try cpu.setCR0(ControlBits.pe | ControlBits.pg | ControlBits.wp)
            storage.tables.setSharedBase(0xC000_0000)
            enter(0)
        }

        func set(_ space: Int, _ page: Int, frame: Int, _ bits: UInt64) throws {
            try memory.write((UInt64(frame) + 0x800) << 12 | bits, at: table(space) + UInt64(page) * 8)
        }

        func enter(_ space: Int) {
            cpu.system.cr3 = root(space)
            cpu.activateAddressSpace()
            cpu.selectTables()
        }

        func touch(_ linear: UInt32, _ access: AccessKind, user: Bool) {
            _ = try? cpu.page(linear, access, user: user)
        }

        func read(_ linear: UInt32) -> UInt { storage.tables.current.kernelRead[Int(linear >> 12)] }

        /// Whether the tables allow only what a processor without them would do the same way.
        func isSound(_ linear: UInt32) -> Bool {
            let (tables, index) = (storage.tables.current, Int(linear >> 12))
            let rights: [(UInt, AccessKind, Bool)] = [
                (tables.kernelRead[index], .read, false), (tables.kernelWrite[index], .write, false),
                (tables.kernelExecute[index], .execute, false), (tables.userRead[index], .read, true),
                (tables.userWrite[index], .write, true), (tables.userExecute[index], .execute, true),
            ]
            return rights.allSatisfy { entry, access, user in
                guard entry != 0 else { return true }
                let leaf = cpu.peekLeaf(linear)?.entry ?? 0
                let used = PageEntry.accessed | (access == .write ? PageEntry.dirty : 0)
                guard leaf & used == used, let found = try? cpu.translate(linear, access, user: user)
                else { return false }
                return entry &+ UInt(linear) == UInt(bitPattern: memory.base) + UInt(found.frame)
            }
        }
    }

    @Test("keep what is as it was, in this address space and in the next one")
    func keeps() throws {
        let spaces = try Spaces()
        let (first, second) = (Spaces.own, Spaces.own + 0x1000)
        for space in [1, 0] {
            spaces.enter(space)
            for page in [first, second, Spaces.shared] { spaces.touch(page, .write, user: false) }
        }
        try spaces.set(0, 0, frame: 100, 0x67)
        try spaces.set(1, 1, frame: 100, 0x67)
        spaces.cpu.flushChangedTranslations()
        #expect(spaces.read(first) == 0)
        #expect(spaces.read(second) != 0)
        #expect(spaces.read(Spaces.shared) != 0)
        spaces.enter(1)
        #expect(spaces.read(first) != 0)
        #expect(spaces.read(second) == 0)
        try spaces.set(2, 0, frame: 100, 0x63)
        spaces.cpu.flushChangedTranslations()
        #expect(spaces.read(Spaces.shared) == 0)
        #expect(spaces.read(first) != 0)
    }

    @Test("forget rights that were taken away, and pages whose use is to be noticed again")
    func rights() throws {
        // Read-only, not for users, no-execute, not accessed, not dirty, reserved bit, not present; global: another kind.
        for bits in [0x65, 0x63, 1 << 63 | 0x67, 0x47, 0x27, 1 << 50 | 0x67, 0, 0x167] as [UInt64] {
            let spaces = try Spaces()
            for access in [AccessKind.read, .write, .execute] {
                spaces.touch(Spaces.own, access, user: true)
            }
            #expect(spaces.storage.tables.current.userExecute[Int(Spaces.own >> 12)] != 0)
            spaces.cpu.flushChangedTranslations()
            #expect(spaces.read(Spaces.own) != 0)
            try spaces.set(0, 0, frame: 0, bits)
            spaces.cpu.flushChangedTranslations()
            #expect(spaces.read(Spaces.own) == 0, "entry bits \(bits)")
        }
    }

    @Test("after any changes have nothing that a walk does not find")
    func random() throws {
        let spaces = try Spaces()
        var random = Random(seed: 9)
        var kept = 0
        for _ in 0..<600 {
            for _ in 0..<random.below(60) {
                let linear = random.pick([Spaces.own, Spaces.shared]) + UInt32(random.below(40)) << 12
                spaces.touch(linear, random.pick([.read, .write, .execute]), user: random.chance(50))
            }
            for _ in 0..<random.below(5) {
                let bits: UInt64 = random.pick([
                    0x67, 0x63, 0x65, 0x47, 0x27, 1 << 63 | 0x67, 1 << 50 | 0x67, 0,
                ])
                try spaces.set(
                    random.below(3), random.below(40), frame: random.below(random.chance(80) ? 40 : 512), bits
                )
            }
            spaces.cpu.flushChangedTranslations()
            for _ in 0..<2 {
                spaces.enter(random.below(2))
                for page in 0..<40 as Range<UInt32> {
                    for linear in [Spaces.own + page << 12, Spaces.shared + page << 12] {
                        try #require(spaces.isSound(linear))
                        if spaces.read(linear) != 0 { kept += 1 }
                    }
                }
            }
        }
        #expect(kept > 1000)
    }

    @Test("look at what is likely to be wanted, and forget large amounts that are not")
    func rule() {
        var rule = KeepingRule()
        let counts = [10, 272, 273, 20, 96, 97, 5, 36]
        #expect(counts.map { rule.keeps($0) } == [true, true, false, true, true, false, true, true])
    }
}

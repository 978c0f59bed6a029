// SPDX-License-Identifier: Apache-2.0
//
// Paging: every combination of rights at both levels, large pages, Accessed and Dirty, reserved bits, faults in the
// middle of an operand (Intel SDM volume 3, chapter 4).

import CPUTestSupport
import Testing
import X86

/// Page tables over a micro-guest: the first 4 MiB mapped as they are, one more page at `linear`.
private struct Tables {
    static let linear: UInt32 = 0x40_0000
    static let frame: UInt32 = 0x6_0000
    static let root = MicroGuest.Place.tables
    let guest: MicroGuest
    let pae: Bool

    init(pae: Bool, noExecute: Bool = false, writeProtect: Bool = true) throws {
        guest = try MicroGuest()
        self.pae = pae
        let root = Tables.root
        if pae {
            try guest.memory.write(UInt64(root + 0x1000) | 1, at: UInt64(root))
            for n in 0..<2 {
                try guest.memory.write(UInt64(n) << 21 | 0xE7, at: UInt64(root + 0x1000) + UInt64(n) * 8)
            }
        } else {
            try guest.write32(root, 0xE7)
        }
        let cpu = guest.cpu
        cpu.system.cr3 = root
        try cpu.setCR4(ControlBits.pse | (pae ? ControlBits.pae : 0))
        if noExecute { cpu.system.efer = ControlBits.eferNXE }
        try cpu.setCR0(
            ControlBits.pe | ControlBits.pg | (writeProtect ? ControlBits.wp : 0) | ControlBits.am)
    }

    var directoryEntry: UInt64 { UInt64(Tables.root) + (pae ? 0x1000 + 2 * 8 : 4) }
    var tableEntry: UInt64 { UInt64(Tables.root) + 0x2000 }

    /// Maps `linear` with rights (P 1, W 2, U 4, NX 1 << 63) at both levels.
    func map(_ upper: UInt64, _ lower: UInt64) throws {
        try put(UInt64(Tables.root + 0x2000) | upper, directoryEntry)
        try put(UInt64(Tables.frame) | lower, tableEntry)
        guest.cpu.flushTranslations()
    }

    func put(_ entry: UInt64, _ address: UInt64) throws {
        if pae {
            try guest.memory.write(entry, at: address)
        } else {
            try guest.memory.write(UInt32(truncatingIfNeeded: entry), at: address)
        }
    }

    func get(_ address: UInt64) throws -> UInt64 {
        pae ? try guest.memory.read(address) : UInt64(try guest.memory.read(address, as: UInt32.self))
    }

    /// One access at `linear`: the page fault's error code, or nil.
    func access(_ kind: AccessKind, ring: UInt8, at address: UInt32 = linear) -> UInt32? {
        guest.cpu.setPrivilege(ring)
        do throws(Fault) {
            switch kind {
            case .read: let _: UInt32 = try guest.cpu.load(address)
            case .write: try guest.cpu.store(address, 1 as UInt32)
            case .execute:
                guest.cpu.eip = address
                _ = try guest.cpu.fetch()
            }
            return nil
        } catch {
            return error.vector == Vector.pageFault ? error.errorCode : UInt32.max
        }
    }
}

@Suite("Paging")
struct PagingTests {
    @Test("Every combination of rights", arguments: [false, true], [false, true])
    func rights(pae: Bool, writeProtect: Bool) throws {
        let tables = try Tables(pae: pae, noExecute: pae, writeProtect: writeProtect)
        try tables.guest.memory.writeBytes([0x90], at: UInt64(Tables.frame))
        let noExecute: [UInt64] = pae ? [0, 1 << 63] : [0]
        for upper in 0..<8 as Range<UInt64> {
            for lower in 0..<8 as Range<UInt64> {
                for nx in noExecute {
                    for kind in [AccessKind.read, .write, .execute] {
                        for ring in [0, 3] as [UInt8] {
                            try tables.map(upper, lower | (lower & 1 != 0 ? nx : 0))
                            let expected = expect(upper & lower, nx, kind, ring == 3, writeProtect, pae)
                            let got = tables.access(kind, ring: ring)
                            #expect(
                                got == expected,
                                "PDE \(upper) PTE \(lower) NX \(nx != 0) \(kind) ring \(ring)")
                            let leaf = try tables.get(tables.tableEntry)
                            // Accessed and Dirty only where the access went through.
                            #expect((leaf & 0x20 != 0) == (expected == nil))
                            #expect((leaf & 0x40 != 0) == (expected == nil && kind == .write))
                        }
                    }
                }
            }
        }
    }

    /// The manual's rule, section 4.6 and figure 4-12.
    private func expect(
        _ both: UInt64, _ nx: UInt64, _ kind: AccessKind, _ user: Bool, _ writeProtect: Bool, _ pae: Bool
    ) -> UInt32? {
        let present = both & 1 != 0
        let userPage = both & 4 != 0
        let writable = both & 2 != 0
        var allowed = present && (!user || userPage)
        if kind == .write && !writable && (user || writeProtect) { allowed = false }
        if kind == .execute && nx != 0 { allowed = false }
        if allowed { return nil }
        var code: UInt32 = present ? 1 : 0
        if kind == .write { code |= 2 }
        if user { code |= 4 }
        if kind == .execute && pae { code |= 16 }
        return code
    }

    @Test("A read first, then a write: Dirty is set by the write", arguments: [false, true])
    func dirty(pae: Bool) throws {
        let tables = try Tables(pae: pae)
        try tables.map(7, 7)
        #expect(tables.access(.read, ring: 3) == nil)
        #expect(try tables.get(tables.tableEntry) & 0x60 == 0x20)
        #expect(tables.access(.write, ring: 3) == nil)
        #expect(try tables.get(tables.tableEntry) & 0x60 == 0x60)
        #expect(try tables.get(tables.directoryEntry) & 0x60 == 0x20)
        #expect(try tables.guest.read32(Tables.frame) == 1)
    }

    @Test("Large pages, with their reserved bits", arguments: [false, true])
    func large(pae: Bool) throws {
        let tables = try Tables(pae: pae)
        // 4 MiB of RAM at 0, mapped once more.
        try tables.put(0x87, tables.directoryEntry)
        try tables.guest.write32(0x6_1234, 0xCAFE)
        #expect(tables.access(.write, ring: 3, at: Tables.linear + 0x6_1234) == nil)
        #expect(try tables.guest.read32(0x6_1234) == 1)
        #expect(try tables.get(tables.directoryEntry) & 0x60 == 0x60)
        for bit in pae ? 13...20 : 17...21 {
            try tables.put(0x87 | 1 << UInt64(bit), tables.directoryEntry)
            tables.guest.cpu.flushTranslations()
            #expect(tables.access(.read, ring: 0) == 9, "bit \(bit)")
            #expect(tables.access(.write, ring: 3) == 15, "bit \(bit)")
        }
    }

    @Test("PAE: reserved address bits, NX without NXE, and the four top entries")
    func reservedBits() throws {
        let tables = try Tables(pae: true)
        for bit in [36, 51, 62, 63] as [UInt64] {
            try tables.map(7, 7 | 1 << bit)
            #expect(tables.access(.read, ring: 0) == 9, "PTE bit \(bit)")
            try tables.map(7 | 1 << bit, 7)
            #expect(tables.access(.read, ring: 0) == 9, "PDE bit \(bit)")
        }
        let root = Tables.root
        for bit in [1, 2, 5, 6, 7, 8, 36, 63] as [UInt64] {
            try tables.guest.memory.write(UInt64(root + 0x1000) | 1 | 1 << bit, at: UInt64(root))
            #expect(throws: Fault.generalProtection()) { try tables.guest.cpu.setCR3(root) }
        }
        // Entries that are not present may hold anything, and are loaded with CR3, not by the walk.
        try tables.guest.memory.write(0xFFFF_FFFF_FFFF_FFFE as UInt64, at: UInt64(root + 8))
        try tables.guest.memory.write(UInt64(root + 0x1000) | 1, at: UInt64(root))
        try tables.guest.cpu.setCR3(root)
        try tables.guest.memory.write(0 as UInt64, at: UInt64(root))
        tables.guest.cpu.flushTranslations()
        #expect(tables.access(.read, ring: 0, at: 0x1000) == nil)
    }

    @Test("An operand over two pages faults on the second, and nothing is written", arguments: [false, true])
    func crossing(pae: Bool) throws {
        let tables = try Tables(pae: pae)
        try tables.map(7, 7)
        let guest = tables.guest
        let cpu = guest.cpu
        cpu.setPrivilege(3)
        // The page behind is not present.
        for (distance, faults) in [(4, false), (3, true), (1, true)] as [(UInt32, Bool)] {
            try guest.write32(Tables.frame + 0xFFC, 0x5555_5555)
            let address = Tables.linear + 0x1000 - distance
            do throws(Fault) {
                try cpu.store(address, 0xAAAA_AAAA as UInt32)
                #expect(!faults)
            } catch {
                #expect(faults)
                #expect(error.address == Tables.linear + 0x1000 && error.errorCode == 6)
                #expect(try guest.read32(Tables.frame + 0xFFC) == 0x5555_5555)
            }
        }
    }

    @Test("CR2 and the error code reach the handler; INVLPG makes a change visible")
    func faultDelivery() throws {
        let tables = try Tables(pae: false)
        try tables.map(7, 5)
        let guest = tables.guest
        // movl $1,linear
        let store: [UInt8] = [0xC7, 0x05, 0x10, 0, 0x40, 0, 1, 0, 0, 0]
        #expect(try guest.run(store) == .handler(Vector.pageFault))
        #expect(guest.cpu.system.cr2 == Tables.linear + 0x10)
        #expect(try guest.stack(2) == [3, MicroGuest.Place.code])
        try guest.enter(ring: 0)
        // mov linear,%eax (fills the tables); orl $2,PTE; invlpg linear; movl $1,linear
        let entry = UInt32(tables.tableEntry)
        let bytes: [UInt8] =
            [0xA1, 0x10, 0, 0x40, 0, 0x83, 0x0D]
            + (0..<4).map { UInt8(truncatingIfNeeded: entry >> (8 * $0)) } + [2]
            + [0x0F, 0x01, 0x3D, 0x10, 0, 0x40, 0] + store
        #expect(try guest.run(bytes) == .halted)
        #expect(try guest.read32(Tables.frame + 0x10) == 1)
    }

    @Test("The limit of a segment comes before the page fault, the fetch before the instruction")
    func priorities() throws {
        let tables = try Tables(pae: false)
        let guest = tables.guest
        try guest.setDescriptor(0x60, MicroGuest.segment(Tables.linear, 0xF, 0x92, flags: 4))
        guest.cpu[r32: GPR.eax] = 0x60
        // mov %ax,%es; mov %es:0x10,%eax: beyond the limit and not mapped.
        #expect(try guest.run([0x8E, 0xC0, 0x26, 0xA1, 0x10, 0, 0, 0]) == .handler(Vector.generalProtection))
        try guest.enter(ring: 0)
        guest.cpu[r32: GPR.eax] = 0x60
        #expect(try guest.run([0x8E, 0xC0, 0x26, 0xA1, 0x00, 0, 0, 0]) == .handler(Vector.pageFault))
        // An instruction whose last byte is not mapped: the page fault names that byte.
        try tables.map(7, 7)
        try guest.memory.writeBytes([0x0F], at: UInt64(Tables.frame) + 0xFFF)
        try guest.enter(ring: 0)
        guest.cpu.eip = Tables.linear + 0xFFF
        #expect(guest.resume() == .handler(Vector.pageFault))
        #expect(guest.cpu.system.cr2 == Tables.linear + 0x1000)
    }
}

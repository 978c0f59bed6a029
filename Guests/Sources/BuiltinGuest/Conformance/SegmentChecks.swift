// SPDX-License-Identifier: Apache-2.0
//
// Descriptors: what becomes of them on their way into the hypervisor's table, and whether segments made of
// them work in ring 1.
import Machine

enum SegmentChecks {
    private static let selector = GDT.scratch << 3 | 1

    static func run() {
        Memory.clear(Scratch.page, count: 4096)
        privileges()
        limits()
        absent()
        threadLocal()
        Check.result("segment/far-jump-keeps-ring", Probe.run(probe_far_jump), 0x61)
        GDT.set(GDT.scratch, .empty)
    }

    /// Bits 13 and 14 of what LAR gives are the privilege level, bit 8 is "accessed".
    private static func privileges() {
        GDT.set(GDT.scratch, .flat(.data, privilege: 0))
        let rights = instruction_lar(selector)
        Check.equal("segment/privilege-0-becomes-1", rights >> 13 & 3, 1)
        Check.equal("segment/accessed-is-set", rights >> 8 & 1, 1)
        Check.equal("segment/usable-with-rpl-0", Probe.run(probe_load_fs, selector & ~3).value, selector & ~3)
        GDT.set(GDT.scratch, .flat(.data, privilege: 3))
        Check.equal("segment/privilege-3-stays", instruction_lar(selector) >> 13 & 3, 3)
        GDT.set(GDT.scratch, .empty)
        let empty = Probe.run(probe_load_fs, selector)
        Check.trap("segment/empty-is-unusable", empty, 13, error: selector & ~3, at: probe_load_fs.at)
        GDT.set(10, .flat(.data, privilege: 1))
        GDT.set(11, .flat(.data, privilege: 1))
        Check.equal(
            "segment/reserved-entries-ignored", instruction_lar(10 << 3 | 1) | instruction_lar(11 << 3 | 1), 0
        )
    }

    /// A segment of 25 bytes, like the one Linux makes for its stack canary.
    private static func limits() {
        Memory.write32(Scratch.page + 0x14, 0xCA9A_7700)
        GDT.set(
            GDT.scratch,
            SegmentDescriptor(.data, base: Scratch.page.value, limit: 0x18, pages: false, privilege: 0))
        Check.result("segment/base", Probe.run(probe_read_gs, selector & ~3, 0x14), 0xCA9A_7700)
        let beyond = Probe.run(probe_read_gs, selector & ~3, 0x16)
        Check.trap("segment/limit", beyond, 13, at: probe_read_gs.at)
    }

    private static func absent() {
        GDT.set(
            GDT.scratch,
            SegmentDescriptor(.data, base: 0, limit: 0xFFFFF, pages: true, privilege: 1, present: false))
        let load = Probe.run(probe_load_fs, selector)
        Check.trap("segment/not-present", load, 11, error: selector & ~3, at: probe_load_fs.at)
        let stack = Probe.run(probe_load_ss, selector)
        Check.trap("segment/not-present-stack", stack, 12, error: selector & ~3, at: probe_load_ss.at)
    }

    private static func threadLocal() {
        let table = Scratch.page + 0x100
        for index in 0..<UInt32(3) {
            let data = Scratch.page + 0x200 + index * 4
            Memory.write32(data, 0x7150_0000 | index)
            let descriptor = SegmentDescriptor(
                .data, base: data.value, limit: 0xFFFFF, pages: true, privilege: 3)
            Memory.write32(table + index * 8, descriptor.low)
            Memory.write32(table + index * 8 + 4, descriptor.high)
        }
        GDT.loadTLS(table)
        Check.result("segment/tls-first", Probe.run(probe_read_gs, 0x33, 0), 0x7150_0000)
        Check.result("segment/tls-second", Probe.run(probe_read_gs, 0x3B, 0), 0x7150_0001)
        Check.result("segment/tls-third", Probe.run(probe_read_gs, 0x43, 0), 0x7150_0002)
        Check.equal("segment/tls-keeps-privilege-3", instruction_lar(0x33) >> 13 & 3, 3)
        for word in 0..<UInt32(6) { Memory.write32(table + word * 4, 0) }
        GDT.loadTLS(table)
        let emptied = Probe.run(probe_load_fs, 0x33)
        Check.trap("segment/tls-emptied", emptied, 13, error: 0x30, at: probe_load_fs.at)
    }
}

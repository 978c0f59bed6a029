// SPDX-License-Identifier: Apache-2.0
//
// What may be loaded into a segment register, by descriptor, privilege and register (Intel SDM volume 3, 5.5 to 5.8).

import CPUTestSupport
import Testing
import X86

struct SegmentLoad: CustomTestStringConvertible, Sendable {
    let name: String
    let access: UInt8
    let ring: UInt8
    let rpl: UInt16
    /// 8E /r: the reg field.
    let register: UInt8
    /// Vector, or nil when the load works.
    let fault: UInt8?
    var testDescription: String { name }

    init(_ name: String, _ access: UInt8, ring: UInt8, rpl: UInt16, _ register: Int, _ fault: UInt8?) {
        (self.name, self.access, self.ring, self.rpl) = (name, access, ring, rpl)
        (self.register, self.fault) = (UInt8(register), fault)
    }
}

@Suite("Segment loads")
struct SegmentLoadTests {
    static let gp = Vector.generalProtection
    static let cases: [SegmentLoad] = [
        SegmentLoad("ring 0 data into DS", 0x92, ring: 0, rpl: 0, 3, nil),
        SegmentLoad("ring 3 data into DS from ring 0", 0xF2, ring: 0, rpl: 0, 3, nil),
        SegmentLoad("ring 3 data with RPL 3 from ring 0", 0xF2, ring: 0, rpl: 3, 3, nil),
        SegmentLoad("ring 0 data with RPL 3", 0x92, ring: 0, rpl: 3, 3, gp),
        SegmentLoad("ring 0 data from ring 3", 0x92, ring: 3, rpl: 0, 3, gp),
        SegmentLoad("ring 3 data from ring 3", 0xF2, ring: 3, rpl: 3, 3, nil),
        SegmentLoad("ring 3 data with RPL 0 from ring 3", 0xF2, ring: 3, rpl: 0, 3, nil),
        SegmentLoad("read-only data into DS", 0x90, ring: 0, rpl: 0, 3, nil),
        SegmentLoad("readable code into DS", 0x9A, ring: 0, rpl: 0, 3, nil),
        SegmentLoad("execute-only code into DS", 0x98, ring: 0, rpl: 0, 3, gp),
        SegmentLoad("ring 0 code into ES from ring 3", 0x9A, ring: 3, rpl: 3, 0, gp),
        SegmentLoad("ring 0 conforming code into ES from ring 3", 0x9E, ring: 3, rpl: 3, 0, nil),
        SegmentLoad("conforming execute-only code", 0x9C, ring: 3, rpl: 3, 0, gp),
        SegmentLoad("system descriptor", 0x82, ring: 0, rpl: 0, 3, gp),
        SegmentLoad("call gate", 0x8C, ring: 0, rpl: 0, 4, gp),
        SegmentLoad("data not present", 0x12, ring: 0, rpl: 0, 5, Vector.segmentNotPresent),
        SegmentLoad("privilege before presence", 0x12, ring: 3, rpl: 3, 5, gp),
        SegmentLoad("writable data into SS", 0x92, ring: 0, rpl: 0, 2, nil),
        SegmentLoad("expand-down data into SS", 0x96, ring: 0, rpl: 0, 2, nil),
        SegmentLoad("read-only data into SS", 0x90, ring: 0, rpl: 0, 2, gp),
        SegmentLoad("code into SS", 0x9A, ring: 0, rpl: 0, 2, gp),
        SegmentLoad("SS with another RPL", 0x92, ring: 0, rpl: 1, 2, gp),
        SegmentLoad("SS with another DPL", 0xF2, ring: 0, rpl: 0, 2, gp),
        SegmentLoad("ring 3 SS from ring 3", 0xF2, ring: 3, rpl: 3, 2, nil),
        SegmentLoad("SS not present", 0x12, ring: 0, rpl: 0, 2, Vector.stackFault),
        SegmentLoad("CS", 0x9A, ring: 0, rpl: 0, 1, Vector.invalidOpcode),
        SegmentLoad("register 6", 0x92, ring: 0, rpl: 0, 6, Vector.invalidOpcode),
    ]

    @Test("By descriptor, ring and register", arguments: cases)
    func load(_ test: SegmentLoad) throws {
        let guest = try MicroGuest()
        let selector = MicroGuest.Selector.free | test.rpl
        try guest.setDescriptor(selector, MicroGuest.segment(0, 0xFFFFF, test.access, flags: 0xC))
        try guest.enter(ring: test.ring)
        guest.cpu[r32: GPR.eax] = UInt32(selector)
        // HLT is privileged: where the load works in ring 3, that is what stops the guest.
        let stop = try guest.run([0x8E, 0xC0 | test.register << 3])
        guard let fault = test.fault else {
            #expect(stop == (test.ring == 0 ? .halted : .handler(Vector.generalProtection)))
            #expect(guest.cpu[segment: Int(test.register)].selector == selector || test.register == 2)
            // The descriptor is marked accessed.
            #expect(try guest.descriptor(selector) >> 40 & 1 == 1)
            return
        }
        #expect(stop == .handler(fault))
        if Fault.pushesErrorCode(fault) {
            let frame = try guest.stack(2)
            #expect(frame[0] == UInt32(selector & 0xFFFC))
            #expect(frame[1] == MicroGuest.Place.code)
        }
        #expect(try guest.descriptor(selector) >> 40 & 1 == 0)
    }

    @Test("Null selectors, and selectors outside their table")
    func specialSelectors() throws {
        for (selector, register, fault): (UInt32, UInt8, UInt8?) in [
            (0, 3, nil), (3, 0, nil), (0, 2, Self.gp), (3, 2, Self.gp), (0x100, 3, Self.gp),
            (0xFFF8, 4, Self.gp),
            (0x84, 3, Self.gp),
        ] {
            let guest = try MicroGuest()
            guest.cpu[r32: GPR.eax] = selector
            let stop = try guest.run([0x8E, 0xC0 | register << 3])
            #expect(stop == fault.map { .handler($0) } ?? .halted, "selector \(selector)")
            if fault != nil {
                #expect(try guest.stack(1) == [register == 2 && selector < 4 ? 0 : selector & 0xFFFC])
            }
        }
    }

    @Test("An access through a null segment is #GP(0), through one that is too short, too")
    func accesses() throws {
        // mov %ax,%fs; mov %fs:…,%eax
        let guest = try MicroGuest()
        #expect(try guest.run([0x31, 0xC0, 0x8E, 0xE0, 0x64, 0xA1, 0, 0, 5, 0]) == .handler(Self.gp))
        #expect(try guest.stack(1) == [0])
        try guest.setDescriptor(0x60, MicroGuest.segment(0x50000, 0xFFF, 0x92, flags: 4))
        for (offset, works): (UInt32, Bool) in [
            (0xFFC, true), (0xFFD, false), (0x1000, false), (0xFFFF_FFFF, false),
        ] {
            let guest = try MicroGuest()
            try guest.setDescriptor(0x60, MicroGuest.segment(0x50000, 0xFFF, 0x92, flags: 4))
            guest.cpu[r32: GPR.eax] = 0x60
            guest.cpu[r32: GPR.ebx] = offset
            let stop = try guest.run([0x8E, 0xE0, 0x64, 0x8B, 0x03])
            #expect(stop == (works ? .halted : .handler(Self.gp)), "offset \(offset)")
        }
    }
}

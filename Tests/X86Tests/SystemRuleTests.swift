// SPDX-License-Identifier: Apache-2.0
//
// Privileged instructions, control registers, debug registers, single step, ports, and the rules of decoding that
// end in exceptions.

import CPUTestSupport
import Testing
import X86

@Suite("System rules")
struct SystemRuleTests {
    typealias Place = MicroGuest.Place
    static let gp = Vector.generalProtection
    static let ud = Vector.invalidOpcode
    let guest: MicroGuest
    var cpu: CPU { guest.cpu }

    init() throws { guest = try MicroGuest() }

    /// Bytes, and the exceptions in ring 0 and ring 3 (nil: none).
    static let instructions: [(String, [UInt8], UInt8?, UInt8?)] = [
        ("hlt", [0x90, 0xF4], nil, gp), ("clts", [0x0F, 0x06], nil, gp), ("wbinvd", [0x0F, 0x09], nil, gp),
        ("mov %cr0,%eax", [0x0F, 0x20, 0xC0], nil, gp), ("mov %cr1,%eax", [0x0F, 0x20, 0xC8], ud, ud),
        ("mov %cr5,%eax", [0x0F, 0x20, 0xE8], ud, ud), ("mov %dr0,%eax", [0x0F, 0x21, 0xC0], nil, gp),
        ("mov %dr4,%eax", [0x0F, 0x21, 0xE0], nil, gp), ("rdmsr", [0x0F, 0x32], gp, gp),
        ("rdpmc", [0x0F, 0x33], gp, gp), ("rdtsc", [0x0F, 0x31], nil, nil), ("cli", [0xFA], nil, gp),
        ("sti", [0xFB], nil, gp), ("in (%dx),%al", [0xEC], nil, gp),
        ("out %al,$0x80", [0xE6, 0x80], nil, gp),
        ("lgdt of a register", [0x0F, 0x01, 0xD0], ud, ud),
        ("invlpg of a register", [0x0F, 0x01, 0xF8], ud, ud),
        ("lmsw", [0x0F, 0x01, 0xF0], nil, gp), ("smsw", [0x0F, 0x01, 0xE0], nil, nil),
        ("sldt", [0x0F, 0x00, 0xC0], nil, nil), ("str", [0x0F, 0x00, 0xC8], nil, nil),
        ("lldt", [0x0F, 0x00, 0xD2], nil, gp), ("ltr of the null selector", [0x0F, 0x00, 0xDA], gp, gp),
        ("lock nop", [0xF0, 0x90], ud, ud), ("lock add to a register", [0xF0, 0x01, 0xC0], ud, ud),
        ("lock mov", [0xF0, 0x89, 0x05, 0, 0, 5, 0], ud, ud),
        ("lock cmp", [0xF0, 0x39, 0x05, 0, 0, 5, 0], ud, ud),
        ("lock add to memory", [0xF0, 0x01, 0x05, 0, 0, 5, 0], nil, nil),
        ("lock bt", [0xF0, 0x0F, 0xA3, 0x05, 0, 0, 5, 0], ud, ud),
        ("lock bts", [0xF0, 0x0F, 0xAB, 0x05, 0, 0, 5, 0], nil, nil),
        ("lea of a register", [0x8D, 0xC0], ud, ud), ("les of a register", [0xC4, 0xC0], ud, ud),
        ("bound of a register", [0x62, 0xC0], ud, ud),
        ("cmpxchg8b of a register", [0x0F, 0xC7, 0xC8], ud, ud),
        ("pop with /1", [0x8F, 0xC8], ud, ud), ("FE /2", [0xFE, 0xD0], ud, ud),
        ("FF /7", [0xFF, 0xF8], ud, ud),
        ("mov with /1", [0xC6, 0xC8, 0], ud, ud), ("0F BA /0", [0x0F, 0xBA, 0xC0, 0], ud, ud),
        ("ud2", [0x0F, 0x0B], ud, ud), ("syscall", [0x0F, 0x05], ud, ud), ("rsm", [0x0F, 0xAA], ud, ud),
        ("sixteen bytes", [UInt8](repeating: 0x66, count: 15) + [0x90], gp, gp),
        ("fifteen bytes", [UInt8](repeating: 0x66, count: 14) + [0x90], nil, nil),
        ("mov to %cs", [0x8E, 0xC8], ud, ud), ("aam $0", [0xD4, 0], Vector.divideError, Vector.divideError),
    ]

    @Test("By ring", arguments: instructions.indices)
    func instruction(_ index: Int) throws {
        let (name, bytes, ring0, ring3) = Self.instructions[index]
        for (ring, expected) in [(0, ring0), (3, ring3)] as [(UInt8, UInt8?)] {
            let guest = try MicroGuest()
            try guest.enter(ring: ring)
            try guest.setGate(0x40, MicroGuest.gate(0x08, Place.handlers + 0x400, 14, dpl: 3))
            guest.cpu[r32: GPR.eax] = guest.cpu.system.cr0
            let stop = try guest.run(bytes + [0xCD, 0x40])
            let halts = name == "hlt" && ring == 0
            #expect(stop == (halts ? .halted : .handler(expected ?? 0x40)), "\(name) in ring \(ring)")
        }
    }

    @Test("CR0, CR3 and CR4 refuse what they must")
    func controlRegisters() {
        let pe = ControlBits.pe
        for value in [0, ControlBits.pg, pe | 1 << 29] {
            #expect(throws: Fault.generalProtection()) { try cpu.setCR0(value) }
        }
        for value in [ControlBits.vme, ControlBits.pvi, 1 << 11, 1 << 13, 1 << 20, 1 << 31] as [UInt32] {
            #expect(throws: Fault.generalProtection()) { try cpu.setCR4(value) }
        }
        #expect(throws: Never.self) { try cpu.setCR0(pe | 0x0FFA_FFC0) }
        #expect(cpu.system.cr0 == pe | ControlBits.et)
    }

    @Test("LMSW sets PE but does not clear it; CR4.TSD keeps RDTSC for ring 0")
    func smallRules() throws {
        cpu[r32: GPR.eax] = 0xE
        #expect(try guest.run([0x0F, 0x01, 0xF0]) == .halted)
        #expect(cpu.system.cr0 & 0xF == 0xF)
        try cpu.setCR4(ControlBits.tsd)
        #expect(try guest.run([0x0F, 0x31]) == .halted)
        try guest.enter(ring: 3)
        #expect(try guest.run([0x0F, 0x31]) == .handler(Self.gp))
    }

    @Test("The I/O permission bitmap")
    func ports() throws {
        // The bitmap at 0x68: port 0x10 forbidden, 0x11 and on allowed.
        try guest.write32(Place.task + 100, 0x0068_0000)
        try guest.memory.write(1 as UInt8, at: UInt64(Place.task) + 0x68 + 2)
        try guest.setGate(0x40, MicroGuest.gate(0x08, Place.handlers + 0x400, 14, dpl: 3))
        for (bytes, works) in [
            ([0xE4, 0x10], false), ([0xE4, 0x11], true), ([0xE5, 0x0F], false), ([0xE5, 0x0D], false),
            ([0xE5, 0x0C], true),
        ] as [([UInt8], Bool)] {
            try guest.enter(ring: 3)
            #expect(try guest.run(bytes + [0xCD, 0x40]) == .handler(works ? 0x40 : Self.gp), "\(bytes)")
        }
        // IOPL lets everything through.
        try guest.enter(ring: 3)
        cpu.setEFLAGS(0x3002)
        #expect(try guest.run([0xE4, 0x10, 0xCD, 0x40]) == .handler(0x40))
    }

    @Test("Single step: one trap for each instruction, none behind a load of SS")
    func singleStep() throws {
        cpu.setEFLAGS(2 | EFLAGS.tf)
        #expect(try guest.run([0x90, 0x90]) == .handler(Vector.debug))
        #expect(try guest.stack(1) == [Place.code + 1])
        #expect(cpu.system.dr[6] & DebugBits.singleStep != 0)
        #expect(cpu.eflags & EFLAGS.tf == 0)
        try guest.enter(ring: 0)
        cpu[r32: GPR.eax] = 0x10
        cpu.setEFLAGS(2 | EFLAGS.tf)
        #expect(try guest.run([0x8E, 0xD0, 0x90, 0x90]) == .handler(Vector.debug))
        #expect(try guest.stack(1) == [Place.code + 3])
        // POPF that sets TF traps one instruction later; INT n clears TF on its way.
        try guest.enter(ring: 0)
        cpu.setEFLAGS(2)
        #expect(try guest.run([0x68, 0x02, 0x01, 0, 0, 0x9D, 0x40, 0x40]) == .handler(Vector.debug))
        #expect(try guest.stack(1) == [Place.code + 7])
        try guest.enter(ring: 0)
        cpu.setEFLAGS(2 | EFLAGS.tf)
        #expect(try guest.run([0xCD, 0x40]) == .handler(0x40))
        // INT1 is a trap.
        try guest.enter(ring: 0)
        cpu.setEFLAGS(2)
        #expect(try guest.run([0xF1]) == .handler(Vector.debug))
        #expect(try guest.stack(1) == [Place.code + 1])
    }

    @Test("Instruction breakpoints are faults, and RF lets the instruction run")
    func instructionBreakpoint() throws {
        cpu.system.dr[0] = Place.code + 1
        cpu[r32: GPR.eax] = 0x1
        // The handler returns: it clears nothing, RF in the image does the rest.
        try guest.memory.writeBytes([0x43, 0xCF], at: UInt64(Place.handlers + 16))
        cpu[r32: GPR.ecx] = 0
        #expect(try guest.run([0x0F, 0x23, 0xF8, 0x90, 0x41]) == .halted)
        cpu[r32: GPR.ebx] = 0
        cpu[r32: GPR.ecx] = 0
        #expect(try guest.run([0x90, 0x41, 0x41]) == .halted)
        #expect(cpu[r32: GPR.ebx] == 1 && cpu[r32: GPR.ecx] == 2)
        #expect(cpu.system.dr[6] & 15 == 1)
    }

    @Test("Data breakpoints are traps behind the access")
    func dataBreakpoint() throws {
        cpu.system.dr[1] = Place.data + 4
        // DR7: breakpoint 1, writes, four bytes.
        cpu[r32: GPR.eax] = 1 << 2 | 0xD << 20
        let watch: [UInt8] = [0x0F, 0x23, 0xF8]
        // A read and a write beside it do nothing; a write into it traps.
        let code: [UInt8] = [0xA1, 4, 0, 5, 0, 0xA3, 0, 0, 5, 0, 0xA2, 7, 0, 5, 0, 0x90]
        #expect(try guest.run(watch + code) == .handler(Vector.debug))
        #expect(try guest.stack(1) == [Place.code + 3 + 15])
        #expect(cpu.system.dr[6] & 15 == 2)
    }

    @Test("General detect, and DR4 under CR4.DE")
    func debugRegisterAccess() throws {
        cpu.system.dr[7] = 0x400 | DebugBits.generalDetect
        #expect(try guest.run([0x0F, 0x21, 0xC0]) == .handler(Vector.debug))
        #expect(cpu.system.dr[6] & DebugBits.accessDetected != 0)
        #expect(try guest.stack(1) == [Place.code])
        try guest.enter(ring: 0)
        try cpu.setCR4(ControlBits.de)
        #expect(try guest.run([0x0F, 0x21, 0xE0]) == .handler(Self.ud))
    }

    @Test("Alignment checks: only in ring 3, with AC and AM")
    func alignment() throws {
        try guest.setGate(0x40, MicroGuest.gate(0x08, Place.handlers + 0x400, 14, dpl: 3))
        for (ring, ac, am, checks) in [
            (3, true, true, true), (3, false, true, false), (3, true, false, false), (0, true, true, false),
        ] as [(UInt8, Bool, Bool, Bool)] {
            try guest.enter(ring: ring)
            cpu.setEFLAGS(ac ? 2 | EFLAGS.ac : 2)
            try cpu.setCR0(ControlBits.pe | (am ? ControlBits.am : 0))
            let stop = try guest.run([0xA1, 2, 0, 5, 0, 0xCD, 0x40])
            #expect(stop == .handler(checks ? Vector.alignmentCheck : 0x40))
            if checks { #expect(try guest.stack(2) == [0, Place.code]) }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// x87: arithmetic, stack, tags, exceptions, environments.

import Testing
import X86

@Suite("x87")
struct FloatingX87Tests {
    let bench: FloatingBench
    var cpu: CPU { bench.cpu }

    init() throws { bench = try FloatingBench() }

    @Test("FNINIT's state")
    func initialState() throws {
        try bench.push(1)
        try bench.run(0xDB, 0xE3)
        #expect(cpu.fcw == 0x037F && cpu.fsw == 0 && cpu.ftw == 0)
    }

    @Test(
        "Arithmetic on memory operands",
        arguments: [
            (0x07, 1.25 + 3), (0x0F, 1.25 * 3), (0x27, 1.25 - 3), (0x2F, 3 - 1.25), (0x37, 1.25 / 3),
            (0x3F, 3 / 1.25),
        ] as [(UInt8, Double)])
    func memoryArithmetic(_ modRM: UInt8, _ expected: Double) throws {
        try bench.put((3.0).bitPattern)
        try bench.push(1.25)
        try bench.run(0xDC, modRM)
        #expect(try bench.pop() == expected)
    }

    @Test("Register forms, with and without pop; FSUB and FSUBR in DC and DE are the right way round")
    func registerArithmetic() throws {
        try bench.push(10)
        try bench.push(4)
        try bench.run(0xD8, 0xE1)  // FSUB ST, ST(1)
        #expect(try bench.pop() == -6)
        try bench.push(4)
        try bench.run(0xDC, 0xE9)  // FSUB ST(1), ST
        #expect(try bench.pop() == 4)
        #expect(try bench.pop() == 6)
        try bench.push(10)
        try bench.push(4)
        try bench.run(0xDE, 0xF1)  // FDIVRP
        #expect(try bench.pop() == 0.4)
        #expect(cpu.ftw == 0)
    }

    @Test("80 bits are kept")
    func extendedPrecision() throws {
        try bench.put(0x8000_0000_0000_0001 as UInt64)
        try bench.put(0xC123 as UInt16, at: 8)
        try bench.run(0xDB, 0x2F)
        try bench.run(0xDB, 0x7F, 0x10)
        #expect(try bench.get(UInt64.self, at: 0x10) == 0x8000_0000_0000_0001)
        #expect(try bench.get(UInt16.self, at: 0x18) == 0xC123)
    }

    @Test("Constants round as the control word says")
    func constants() throws {
        try bench.run(0xD9, 0xEB)
        try bench.run(0xDB, 0x3F)
        #expect(try bench.get(UInt64.self) == 0xC90F_DAA2_2168_C235)
        try bench.put(0x0F7F as UInt16)  // toward zero
        try bench.run(0xD9, 0x2F)
        try bench.run(0xD9, 0xEB)
        try bench.run(0xDB, 0x3F)
        #expect(try bench.get(UInt64.self) == 0xC90F_DAA2_2168_C234)
    }

    @Test("FIST rounds to nearest even, FISTTP truncates, out of range gives the integer indefinite")
    func integers() throws {
        try bench.push(2.5)
        try bench.run(0xDB, 0x17)
        #expect(try bench.get(UInt32.self) == 2)
        try bench.run(0xDB, 0x0F)
        #expect(try bench.get(UInt32.self) == 2)
        try bench.push(1e10)
        try bench.run(0xDB, 0x1F)
        #expect(try bench.get(UInt32.self) == 0x8000_0000)
        #expect(cpu.fsw & 1 == 1)
    }

    @Test("FBLD and FBSTP")
    func decimals() throws {
        try bench.put(0x12_3456_7890 as UInt64)
        try bench.put(0x8000 as UInt16, at: 8)
        try bench.run(0xDF, 0x27)
        try bench.run(0xDF, 0x77, 0x10)
        #expect(try bench.get(UInt64.self, at: 0x10) == 0x12_3456_7890)
        #expect(try bench.get(UInt16.self, at: 0x18) == 0x8000)
    }

    @Test("Stack overflow and underflow: IE, SF, C1, and the default NaN")
    func stackFaults() throws {
        for _ in 0..<8 { try bench.run(0xD9, 0xE8) }
        #expect(cpu.ftw == 0xFF && cpu.fsw == 0)
        try bench.run(0xD9, 0xE8)
        #expect(cpu.fsw & 0x0241 == 0x0241)
        #expect(try bench.pop().isNaN)
        try bench.run(0xDB, 0xE3)
        try bench.run(0xDD, 0x1F)
        #expect(cpu.fsw & 0x0241 == 0x0041)
        #expect(try bench.get(UInt64.self) == 0xFFF8_0000_0000_0000)
    }

    @Test("An unmasked exception withholds the result and is raised by the next waiting instruction")
    func unmaskedDivision() throws {
        try bench.push(1)
        try bench.push(0)
        try bench.put(0x037B as UInt16)
        try bench.run(0xD9, 0x2F)
        try bench.run(0xDC, 0xF9)  // FDIV ST(1), ST
        #expect(cpu.fsw & 0x8084 == 0x8084)
        #expect(throws: Fault.x87) { try bench.run(0x9B) }
        #expect(throws: Fault.x87) { try bench.run(0xD9, 0xC9) }
        #expect(throws: Fault.x87) { try bench.run(0x0F, 0xEF, 0xC0) }  // PXOR mm waits too
        try bench.run(0xDF, 0xE0)  // FNSTSW AX does not
        #expect(UInt16(cpu[r32: GPR.eax]) == cpu.fsw)
        try bench.run(0xDB, 0xE2)  // FNCLEX
        try bench.run(0x9B)
        #expect(try bench.pop() == 0)
        #expect(try bench.pop() == 1)
    }

    @Test("An unmasked exception of a store leaves memory and stack alone; #P does not")
    func unmaskedStore() throws {
        try bench.push(1e300)
        try bench.put(0x0377 as UInt16)  // overflow unmasked
        try bench.run(0xD9, 0x2F)
        try bench.put(0xDEAD_BEEF as UInt32)
        try bench.run(0xD9, 0x1F)
        #expect(try bench.get(UInt32.self) == 0xDEAD_BEEF)
        #expect(cpu.fsw & 0x8088 == 0x8088 && cpu.ftw == 0x80)
        try bench.run(0xDB, 0xE3)
        try bench.push(0.1)
        try bench.put(0x035F as UInt16)  // precision unmasked
        try bench.run(0xD9, 0x2F)
        try bench.run(0xD9, 0x1F)
        #expect(try bench.get(UInt32.self) == Float(0.1).bitPattern)
        #expect(cpu.fsw & 0x80A0 == 0x80A0 && cpu.ftw == 0)
    }

    @Test("FLDCW that unmasks a flag makes it pending; FNSTENV masks it again")
    func unmaskingLater() throws {
        try bench.push(1)
        try bench.push(0)
        try bench.run(0xDE, 0xF9)  // FDIVP: masked, infinity
        #expect(cpu.fsw & 0x80FF == 0x0004)
        try bench.put(0x0300 as UInt16)
        try bench.run(0xD9, 0x2F)
        #expect(cpu.fsw & 0x8080 == 0x8080)
        #expect(throws: Fault.x87) { try bench.pop() }
        try bench.run(0xD9, 0x77, 0x40)
        #expect(cpu.fcw == 0x037F && cpu.fsw & 0x8080 == 0)
        #expect(try bench.pop() == .infinity)
    }

    @Test("FCOMI sets EFLAGS, FCMOV reads them")
    func comparisons() throws {
        try bench.push(2)
        try bench.push(1)
        cpu.setEFLAGS(EFLAGS.of | EFLAGS.sf | EFLAGS.zf)
        try bench.run(0xDB, 0xF1)
        #expect(cpu.eflags & EFLAGS.arithmetic == EFLAGS.cf)
        try bench.run(0xDA, 0xC1)  // FCMOVB ST, ST(1)
        #expect(try bench.pop() == 2)
        try bench.push(.nan)
        try bench.run(0xDF, 0xE9)  // FUCOMIP
        #expect(cpu.eflags & EFLAGS.arithmetic == EFLAGS.cf | EFLAGS.pf | EFLAGS.zf)
        #expect(cpu.fsw & 1 == 0)
    }

    @Test("FNSTENV has the tags, the pointers and the opcode; 28 and 14 bytes", arguments: [true, false])
    func environment(_ wide: Bool) throws {
        cpu[segment: SegmentIndex.cs].selector = 0x61
        cpu[segment: SegmentIndex.ds].selector = 0x7B
        try bench.push(0)
        try bench.push(.infinity)
        try bench.put((7.0).bitPattern, at: 0x10)
        try bench.run(0xDD, 0x47, 0x10)
        let prefix: [UInt8] = wide ? [] : [0x66]
        try bench.run(prefix + [0xD9, 0x37])
        // R7 zero, R6 special, R5 valid, the others empty
        let tags: UInt16 = 0b01_10_00_11_11_11_11_11
        if wide {
            #expect(try bench.get(UInt32.self, at: 0) == 0xFFFF_037F)
            #expect(try bench.get(UInt32.self, at: 4) == 0xFFFF_2800)
            #expect(try bench.get(UInt32.self, at: 8) == 0xFFFF_0000 | UInt32(tags))
            #expect(try bench.get(UInt32.self, at: 12) == FloatingBench.code)
            #expect(try bench.get(UInt32.self, at: 16) == 0x0547_0061)
            #expect(try bench.get(UInt32.self, at: 20) == FloatingBench.data + 0x10)
            #expect(try bench.get(UInt32.self, at: 24) == 0xFFFF_007B)
        } else {
            #expect(try bench.get(UInt16.self, at: 4) == tags)
            #expect(try bench.get(UInt16.self, at: 6) == UInt16(FloatingBench.code))
            #expect(try bench.get(UInt16.self, at: 10) == UInt16(FloatingBench.data) + 0x10)
        }
        let before = (cpu.fsw, cpu.ftw)
        try bench.run(0xDB, 0xE3)
        try bench.run(prefix + [0xD9, 0x27])
        #expect((cpu.fsw, cpu.ftw) == before)
        #expect(try bench.pop() == 7)
        #expect(try bench.pop() == .infinity)
        #expect(try bench.pop() == 0)
    }

    @Test("FNSAVE initializes, FRSTOR brings everything back", arguments: [true, false])
    func wholeState(_ wide: Bool) throws {
        let prefix: [UInt8] = wide ? [] : [0x66]
        for value in 1...5 { try bench.push(Double(value)) }
        try bench.run(prefix + [0xDD, 0x37])
        #expect(cpu.ftw == 0 && cpu.fsw == 0)
        try bench.push(99)
        try bench.run(prefix + [0xDD, 0x27])
        for value in (1...5).reversed() { #expect(try bench.pop() == Double(value)) }
        #expect(cpu.ftw == 0)
    }

    @Test("Registers stay where they are when FNINIT moves the stack top")
    func physicalRegisters() throws {
        try bench.push(3)
        try bench.run(0xDB, 0xE3)
        // R7 holds 3 though it is empty: FDECSTP makes it ST(0), FXSAVE shows it first.
        try bench.run(0xD9, 0xF6)
        try bench.run(0x0F, 0xAE, 0x07)
        #expect(try bench.get(UInt64.self, at: 32) == 0xC000_0000_0000_0000)
        #expect(try bench.get(UInt16.self, at: 40) == 0x4000)
    }

    @Test("CR0.EM and TS; WAIT also needs MP")
    func notAvailable() throws {
        cpu.system.cr0 |= ControlBits.ts
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0xD9, 0xE8) }
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0xDB, 0xE3) }
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0x9B) }
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0x0F, 0xAE, 0x07) }
        cpu.system.cr0 &= ~ControlBits.mp
        try bench.run(0x9B)
        cpu.system.cr0 = cpu.system.cr0 & ~ControlBits.ts | ControlBits.em
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0xD9, 0xE8) }
        #expect(throws: Fault.invalidOpcode) { try bench.run(0x0F, 0xEF, 0xC0) }
        #expect(throws: Fault.invalidOpcode) { try bench.run(0x0F, 0x57, 0xC0) }
    }

    @Test(
        "Reserved encodings are #UD",
        arguments: [
            [0xD9, 0xD1], [0xD9, 0xE2], [0xD9, 0xEF], [0xD9, 0x0F], [0xDA, 0xE0], [0xDB, 0xF8], [0xDB, 0x27],
            [0xDD, 0xF0], [0xDD, 0x2F], [0xDE, 0xD8], [0xDF, 0xE1], [0xDF, 0xF8], [0xF3, 0x0F, 0x57, 0xC0],
            [0x66, 0x0F, 0x77], [0x0F, 0xD6, 0xC0], [0x0F, 0x71, 0xC0, 0x01],
        ] as [[UInt8]])
    func reserved(_ bytes: [UInt8]) {
        #expect(throws: Fault.invalidOpcode) { try bench.run(bytes) }
    }
}

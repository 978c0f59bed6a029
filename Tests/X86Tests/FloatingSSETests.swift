// SPDX-License-Identifier: Apache-2.0
//
// MMX, SSE and SSE2: values, alignment, MXCSR's exceptions, FXSAVE.

import Testing
import X86

@Suite("MMX and SSE")
struct FloatingSSETests {
    let bench: FloatingBench
    var cpu: CPU { bench.cpu }

    init() throws { bench = try FloatingBench() }

    private func pack(_ a: Float, _ b: Float, _ c: Float, _ d: Float) -> SIMD2<UInt64> {
        SIMD2(
            UInt64(b.bitPattern) << 32 | UInt64(a.bitPattern),
            UInt64(d.bitPattern) << 32 | UInt64(c.bitPattern))
    }

    @Test("Packed and scalar arithmetic")
    func arithmetic() throws {
        cpu[xmm: 1] = pack(1, 2, 3, 4)
        cpu[xmm: 2] = pack(10, 20, 30, 40)
        try bench.run(0x0F, 0x58, 0xCA)
        #expect(cpu[xmm: 1] == pack(11, 22, 33, 44))
        try bench.run(0xF3, 0x0F, 0x59, 0xCA)
        #expect(cpu[xmm: 1] == pack(110, 22, 33, 44))
        cpu[xmm: 3] = SIMD2((2.0).bitPattern, 7)
        try bench.run(0xF2, 0x0F, 0x51, 0xDB)
        #expect(cpu[xmm: 3] == SIMD2((2.0).squareRoot().bitPattern, 7))
        #expect(cpu.mxcsr == 0x1FA0)
    }

    @Test("Loads and stores of every width")
    func moves() throws {
        try bench.put(0x1111_2222_3333_4444 as UInt64, at: 0x10)
        try bench.put(0x5555_6666_7777_8888 as UInt64, at: 0x18)
        try bench.run(0x66, 0x0F, 0x6F, 0x47, 0x10)  // MOVDQA
        #expect(cpu[xmm: 0] == SIMD2(0x1111_2222_3333_4444, 0x5555_6666_7777_8888))
        try bench.run(0xF3, 0x0F, 0x10, 0x47, 0x10)  // MOVSS clears the rest
        #expect(cpu[xmm: 0] == SIMD2(0x3333_4444, 0))
        try bench.run(0x0F, 0x16, 0x47, 0x18)  // MOVHPS
        #expect(cpu[xmm: 0] == SIMD2(0x3333_4444, 0x5555_6666_7777_8888))
        try bench.run(0xF3, 0x0F, 0x7F, 0x47, 0x23)  // MOVDQU
        #expect(try bench.get(UInt64.self, at: 0x2B) == 0x5555_6666_7777_8888)
        try bench.run(0x66, 0x0F, 0xD6, 0xC1)  // MOVQ xmm1, xmm0
        #expect(cpu[xmm: 1] == SIMD2(0x3333_4444, 0))
        try bench.run(0x66, 0x0F, 0x7E, 0xC0)  // MOVD eax, xmm0
        #expect(cpu[r32: GPR.eax] == 0x3333_4444)
    }

    @Test("Packed memory operands must be aligned")
    func alignment() throws {
        let fault = Fault.generalProtection()
        #expect(throws: fault) { try bench.run(0x0F, 0x28, 0x47, 0x08) }
        #expect(throws: fault) { try bench.run(0x0F, 0x29, 0x47, 0x08) }
        #expect(throws: fault) { try bench.run(0x0F, 0x58, 0x47, 0x04) }
        #expect(throws: fault) { try bench.run(0x0F, 0xAE, 0x47, 0x08) }
        try bench.run(0x0F, 0x10, 0x47, 0x01)
        try bench.run(0xF3, 0x0F, 0x58, 0x47, 0x01)
    }

    @Test("An unmasked exception: flag set, destination kept, #XM or #UD")
    func simdException() throws {
        cpu.mxcsr = 0x1D80  // zero-divide unmasked
        cpu[xmm: 0] = pack(1, 1, 1, 1)
        cpu[xmm: 1] = pack(3, 3, 0, 3)
        #expect(throws: Fault.simd) { try bench.run(0x0F, 0x5E, 0xC1) }
        #expect(cpu.mxcsr == 0x1D84)
        #expect(cpu[xmm: 0] == pack(1, 1, 1, 1))
        cpu.system.cr4 &= ~ControlBits.osxmmexcpt
        #expect(throws: Fault.invalidOpcode) { try bench.run(0x0F, 0x5E, 0xC1) }
        try bench.run(0xF3, 0x0F, 0x5E, 0xC1)
        #expect(cpu[xmm: 0] == pack(1 / 3, 1, 1, 1))
    }

    @Test("Underflow unmasked: a tiny exact result raises #U without #P")
    func unmaskedUnderflow() throws {
        cpu.mxcsr = 0x1780
        cpu[xmm: 0] = pack(.leastNormalMagnitude, 0, 0, 0)
        cpu[xmm: 1] = pack(0.5, 0, 0, 0)
        #expect(throws: Fault.simd) { try bench.run(0xF3, 0x0F, 0x59, 0xC1) }
        #expect(cpu.mxcsr == 0x1790)
        cpu.mxcsr = 0x1F80
        try bench.run(0xF3, 0x0F, 0x59, 0xC1)
        #expect(cpu.mxcsr == 0x1F80)
    }

    @Test("Conversions and comparisons")
    func conversions() throws {
        cpu[xmm: 0] = SIMD2((-2.5).bitPattern, 0)
        try bench.run(0xF2, 0x0F, 0x2D, 0xC8)  // CVTSD2SI ecx
        #expect(Int32(bitPattern: cpu[r32: GPR.ecx]) == -2)
        cpu.mxcsr = 0x3F80  // down
        try bench.run(0xF2, 0x0F, 0x2D, 0xC8)
        #expect(Int32(bitPattern: cpu[r32: GPR.ecx]) == -3)
        try bench.run(0xF2, 0x0F, 0x2C, 0xC8)
        #expect(Int32(bitPattern: cpu[r32: GPR.ecx]) == -2)
        cpu[r32: GPR.edx] = UInt32(bitPattern: -7)
        try bench.run(0xF2, 0x0F, 0x2A, 0xDA)
        #expect(cpu[xmm: 3].x == (-7.0).bitPattern)
        cpu[xmm: 1] = SIMD2(Double.nan.bitPattern, 0)
        cpu.setEFLAGS(EFLAGS.of | EFLAGS.sf)
        try bench.run(0x66, 0x0F, 0x2E, 0xC1)
        #expect(cpu.eflags & EFLAGS.arithmetic == EFLAGS.zf | EFLAGS.pf | EFLAGS.cf)
        try bench.run(0xF2, 0x0F, 0xC2, 0xC1, 0x03)  // CMPUNORDSD
        #expect(cpu[xmm: 0].x == UInt64.max)
    }

    @Test("Shuffles, shifts, masks and words")
    func integers() throws {
        cpu[xmm: 0] = SIMD2(0x0003_0002_0001_0000, 0x8007_0006_0005_0004)
        try bench.run(0x66, 0x0F, 0x70, 0xC8, 0x1B)
        #expect(cpu[xmm: 1] == SIMD2(0x0005_0004_8007_0006, 0x0001_0000_0003_0002))
        try bench.run(0x66, 0x0F, 0x73, 0xD9, 0x05)  // PSRLDQ
        #expect(cpu[xmm: 1] == SIMD2(0x0000_0300_0200_0500, 0x100))
        try bench.run(0x66, 0x0F, 0xC5, 0xC0, 0x07)  // PEXTRW
        #expect(cpu[r32: GPR.eax] == 0x8007)
        try bench.run(0x66, 0x0F, 0xC4, 0xC0, 0x01)  // PINSRW
        #expect(cpu[xmm: 0].x == 0x0003_0002_8007_0000)
        try bench.run(0x66, 0x0F, 0xD7, 0xC0)  // PMOVMSKB
        #expect(cpu[r32: GPR.eax] == 0x8008)
        cpu[xmm: 2] = SIMD2(UInt64.max, UInt64.max)
        try bench.run(0x66, 0x0F, 0x71, 0xD2, 0x11)  // PSRLW by 17
        #expect(cpu[xmm: 2] == SIMD2(0, 0))
    }

    @Test("MMX is the x87 registers; EMMS gives them back")
    func mmx() throws {
        try bench.push(1)
        try bench.push(2)
        try bench.put(0x7FFF_0001_8000_FFFF as UInt64)
        try bench.run(0x0F, 0x6F, 0x1F)  // MOVQ mm3
        #expect(cpu.fsw & 0x3800 == 0 && cpu.ftw == 0xFF)
        try bench.run(0x0F, 0xED, 0xDB)  // PADDSW mm3, mm3
        try bench.run(0x0F, 0x7F, 0x5F, 0x08)
        #expect(try bench.get(UInt64.self, at: 8) == 0x7FFF_0002_8000_FFFE)
        try bench.run(0x0F, 0xD7, 0xC3)
        #expect(cpu[r32: GPR.eax] == 0b0100_1011)
        try bench.run(0x0F, 0x77)
        #expect(cpu.ftw == 0)
    }

    @Test("MASKMOVDQU stores the chosen bytes only")
    func maskedMove() throws {
        cpu[xmm: 0] = SIMD2(0x0807_0605_0403_0201, 0)
        cpu[xmm: 1] = SIMD2(0x8000_0000_0000_0080, 0)
        try bench.put(UInt64.max)
        try bench.run(0x66, 0x0F, 0xF7, 0xC1)
        #expect(try bench.get(UInt64.self) == 0x08FF_FFFF_FFFF_FF01)
    }

    @Test("FXSAVE and FXRSTOR; reserved bits of MXCSR")
    func wholeState() throws {
        try bench.push(5)
        cpu[xmm: 7] = SIMD2(1, 2)
        cpu.mxcsr = 0x9FC0
        try bench.run(0x0F, 0xAE, 0x07)
        #expect(try bench.get(UInt32.self, at: 24) == 0x9FC0)
        #expect(try bench.get(UInt32.self, at: 28) == 0xFFFF)
        #expect(try bench.get(UInt64.self, at: 280) == 2)
        cpu.resetFPU()
        #expect(cpu.mxcsr == 0x1F80 && cpu[xmm: 7] == SIMD2(0, 0))
        try bench.run(0x0F, 0xAE, 0x0F)
        #expect(cpu.mxcsr == 0x9FC0 && cpu[xmm: 7] == SIMD2(1, 2))
        #expect(try bench.pop() == 5)
        try bench.put(0x0001_1F80 as UInt32, at: 24)
        #expect(throws: Fault.generalProtection()) { try bench.run(0x0F, 0xAE, 0x0F) }
        #expect(throws: Fault.generalProtection()) { try bench.run(0x0F, 0xAE, 0x57, 0x18) }
        #expect(cpu.mxcsr == 0x9FC0)
    }

    @Test("CR4.OSFXSR clear: SSE is #UD, MMX is not; TS: #NM")
    func notAvailable() throws {
        cpu.system.cr4 = 0
        #expect(throws: Fault.invalidOpcode) { try bench.run(0x0F, 0x57, 0xC0) }
        try bench.run(0x0F, 0xEF, 0xC0)
        cpu.system.cr4 = ControlBits.osfxsr
        cpu.system.cr0 |= ControlBits.ts
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0x0F, 0x57, 0xC0) }
        #expect(throws: Fault.deviceNotAvailable) { try bench.run(0x0F, 0xEF, 0xC0) }
        try bench.run(0x0F, 0xAE, 0xF0)  // MFENCE
    }
}

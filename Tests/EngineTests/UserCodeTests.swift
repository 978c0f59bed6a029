// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import X86

@testable import Engine

/// Byte-coded user programs, on every engine, by flat tables and in a window: each must end the same.
@Suite("User code")
struct UserCodeTests {
    typealias Kind = UserGuest.Kind

    /// A loop long enough for a window to open: `mov ecx,5000; L: dec ecx; jne L`.
    private static let warmUp: [UInt8] = [0xB9] + little(5000) + [0x49, 0x75, 0xFD]

    @Test("a page fault in the middle of rep movs", arguments: Kind.allCases)
    func faultInRepeat(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        try guest.load((0..<0x1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }, at: 0x2_0000)
        try guest.map(0x8_1000, to: 0, rights: 0)
        // warm up; mov ecx,0x400; cld; rep movsb from 0x20010 to 0x80f00
        let code =
            Self.warmUp + [0xBE] + little(0x2_0010) + [0xBF] + little(0x8_0F00) + [0xB9] + little(0x400)
            + [0xFC]
        try guest.load(code + [0xF3, 0xA4] + UserGuest.end, at: 0x1000)
        let fault = Fault(vector: Vector.pageFault, errorCode: 6, address: 0x8_1000)
        #expect(guest.run(from: 0x1000) == .exception(fault))
        #expect(guest.cpu.eip == 0x1000 + UInt32(code.count))
        #expect(guest.cpu[r32: GPR.ecx] == 0x300)
        #expect(guest.cpu[r32: GPR.esi] == 0x2_0110)
        #expect(guest.cpu[r32: GPR.edi] == 0x8_1000)
        // The kernel provides the page, and the rest is moved.
        try guest.map(0x8_1000, to: 0x30_0000)
        #expect(guest.goOn() == UserGuest.done)
        #expect(guest.cpu[r32: GPR.ecx] == 0)
        let source = try guest.memory.readBytes(0x2_0010, count: 0x400)
        #expect(try guest.memory.readBytes(0x8_0F00, count: 0x100) == Array(source[..<0x100]))
        #expect(try guest.memory.readBytes(0x30_0000, count: 0x300) == Array(source[0x100...]))
    }

    @Test("rep movs whose ranges overlap, upwards by three bytes", arguments: Kind.allCases)
    func overlappingRepeat(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        try guest.load([1, 2, 3], at: 0x2_0FF0)
        let code =
            Self.warmUp + [0xBE] + little(0x2_0FF0) + [0xBF] + little(0x2_0FF3) + [0xB9] + little(60)
        try guest.load(code + [0xFC, 0xF3, 0xA4] + UserGuest.end, at: 0x1000)
        #expect(guest.run(from: 0x1000) == UserGuest.done)
        let expected = (0..<63).map { UInt8($0 % 3 + 1) }
        #expect(try guest.memory.readBytes(0x2_0FF0, count: 63) == expected)
    }

    @Test("code written in a page that was plain memory before", arguments: Kind.allCases)
    func revokedWrites(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        // The function at 0x30000 is `mov eax,imm32; ret`. Three rounds write its constant and call it; EBX sums up.
        // warm up; xor ebx,ebx; mov ecx,3; L: mov [0x30001],ecx; mov edx,0x30000; call edx; add ebx,eax; dec ecx;
        // jne L; mov [0x30800],ebx (in the same page)
        try guest.load([0xB8, 0, 0, 0, 0, 0xC3], at: 0x3_0000)
        var code = Self.warmUp + [0x89, 0x0D] + little(0x3_0100) + [0x31, 0xDB, 0xB9] + little(3)
        let loop = code.count
        code += [0x89, 0x0D] + little(0x3_0001) + [0xBA] + little(0x3_0000) + [0xFF, 0xD2]
        code += [0x01, 0xC3, 0x49]
        code += [0x75, UInt8(bitPattern: Int8(loop - code.count - 2))]
        code += [0x89, 0x1D] + little(0x3_0800) + UserGuest.end
        try guest.load(code, at: 0x1000)
        #expect(guest.run(from: 0x1000) == UserGuest.done)
        #expect(try guest.word(0x3_0800) == 3 + 2 + 1)
    }

    @Test("popf that sets the trap flag", arguments: Kind.allCases)
    func trapFlag(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        // warm up; push 0x302; popf; inc eax; inc eax
        let start = UInt32(0x1000 + Self.warmUp.count)
        try guest.load(
            Self.warmUp + [0x68] + little(0x302) + [0x9D, 0x40, 0x40] + UserGuest.end, at: 0x1000)
        guest.cpu[r32: GPR.eax] = 0
        #expect(guest.run(from: 0x1000) == .debugTrap)
        #expect(guest.cpu[r32: GPR.eax] == 1)
        #expect(guest.cpu.eip == start + 7)
        #expect(guest.goOn() == .debugTrap)
        #expect(guest.cpu.eip == start + 8)
        guest.cpu.setEFLAGS(guest.cpu.eflags & ~EFLAGS.tf)
        #expect(guest.goOn() == UserGuest.done)
    }

    @Test("alignment checks", arguments: Kind.allCases)
    func alignment(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        // warm up; pushf; or dword [esp],0x40000; popf; mov eax,[0x20000]; mov eax,[0x20002]
        let code =
            Self.warmUp + [0x9C, 0x81, 0x0C, 0x24] + little(EFLAGS.ac) + [0x9D, 0xA1] + little(0x2_0000)
        try guest.load(code + [0xA1] + little(0x2_0002) + UserGuest.end, at: 0x1000)
        #expect(guest.run(from: 0x1000) == .exception(Fault(vector: Vector.alignmentCheck)))
        #expect(guest.cpu.eip == 0x1000 + UInt32(code.count))
        guest.cpu.setEFLAGS(guest.cpu.eflags & ~EFLAGS.ac)
        #expect(guest.goOn() == UserGuest.done)
    }

    @Test("deeper calls than there is stack for the host's return addresses", arguments: Kind.allCases)
    func deepRecursion(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        // f (0x1100): test ecx,ecx; je done; dec ecx; call f; inc eax; done: ret
        try guest.load(
            [0x85, 0xC9, 0x74, 7, 0x49, 0xE8] + little(0 &- 10) + [0x40, 0xC3], at: 0x1100)
        let code: [UInt8] =
            Self.warmUp + [0xBC] + little(0x38_0000) + [0x31, 0xC0, 0xB9] + little(100_000) + [0xBA]
            + little(0x1100) + [0xFF, 0xD2]
        try guest.load(code + UserGuest.end, at: 0x1000)
        #expect(guest.run(from: 0x1000, limit: 20_000_000) == UserGuest.done)
        #expect(guest.cpu[r32: GPR.eax] == 100_000)
        #expect(guest.cpu[r32: GPR.esp] == 0x38_0000)
    }

    @Test("returns that go elsewhere: skipped frames, made-up addresses", arguments: Kind.allCases)
    func longJumps(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        // c (0x1300): test cl,1; je back; mov esp,ebp; ret (to main, over b); back: ret
        try guest.load([0xF6, 0xC1, 1, 0x74, 3, 0x89, 0xEC, 0xC3, 0xC3], at: 0x1300)
        // b (0x1200): call c; inc edi; push 0x1400; ret
        try guest.load([0xE8] + little(0x1300 - 0x1205) + [0x47, 0x68] + little(0x1400) + [0xC3], at: 0x1200)
        // 0x1400: inc esi; ret
        try guest.load([0x46, 0xC3], at: 0x1400)
        // xor esi,esi; xor edi,edi; mov ecx,6000; L: lea ebp,[esp-4]; call b; inc eax; dec ecx; jne L
        var code: [UInt8] = [0x31, 0xF6, 0x31, 0xFF, 0x31, 0xC0, 0xB9] + little(6000)
        let loop = code.count
        code += [0x8D, 0x6C, 0x24, 0xFC, 0xE8] + little(UInt32(0x1200 - (0x1000 + loop + 9)))
        code += [0x40, 0x49]
        code += [0x75, UInt8(bitPattern: Int8(loop - code.count - 2))]
        try guest.load(code + UserGuest.end, at: 0x1000)
        #expect(guest.run(from: 0x1000) == UserGuest.done)
        #expect(guest.cpu[r32: GPR.eax] == 6000)
        #expect(guest.cpu[r32: GPR.edi] == 3000)
        #expect(guest.cpu[r32: GPR.esi] == 3000)
        #expect(guest.cpu[r32: GPR.esp] == 0x9_0000)
    }

    @Test("a loop over a page that the kernel takes away and gives back read-only", arguments: Kind.allCases)
    func mappingChanges(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        // L: inc dword [0x50000]; jmp L
        try guest.load([0xFF, 5] + little(0x5_0000) + [0xEB, 0xF8], at: 0x1000)
        #expect(guest.run(from: 0x1000, limit: 20_000) == .budget)
        try guest.map(0x5_0000, to: 0x30_0000)
        let before = try guest.word(0x5_0000)
        #expect(guest.goOn(limit: 20_000) == .budget)
        #expect(try guest.word(0x5_0000) == before)
        #expect(try guest.word(0x30_0000) >= 9000)
        try guest.map(0x5_0000, to: 0x30_0000, rights: 5)
        let fault = Fault(vector: Vector.pageFault, errorCode: 7, address: 0x5_0000)
        #expect(guest.goOn() == .exception(fault))
        try guest.map(0x5_0000, to: 0, rights: 0)
        #expect(guest.goOn() == .exception(Fault(vector: Vector.pageFault, errorCode: 6, address: 0x5_0000)))
    }

    @Test("flags in the picture of a fault", arguments: Kind.allCases)
    func flagsBehindFault(_ kind: Kind) throws {
        let guest = try UserGuest(kind)
        try guest.map(0x6_0000, to: 0, rights: 0)
        // warm up; mov eax,0x7fffffff; add eax,1 (OF, SF, AF, PF); mov [0x60000],eax; add eax,eax
        let code = Self.warmUp + [0xB8] + little(0x7FFF_FFFF) + [0x83, 0xC0, 1]
        try guest.load(code + [0xA3] + little(0x6_0000) + [0x01, 0xC0] + UserGuest.end, at: 0x1000)
        let fault = Fault(vector: Vector.pageFault, errorCode: 6, address: 0x6_0000)
        #expect(guest.run(from: 0x1000) == .exception(fault))
        let flags = guest.cpu.eflags & EFLAGS.arithmetic
        #expect(flags == EFLAGS.of | EFLAGS.sf | EFLAGS.af | EFLAGS.pf)
    }
}

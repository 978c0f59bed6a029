// SPDX-License-Identifier: Apache-2.0

import Engine
import GuestMemory
import Testing
import X86

/// Byte-coded guests that go where translation is delicate. Each runs on every engine and must end the same.
@Suite("Translator")
struct TranslatorTests {
    @Test("a loop with flags over a memory access", arguments: MicroGuest.Kind.allCases)
    func loop(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        // mov ecx,1000; xor eax,eax; L: add eax,ecx; adc [0x8000],0; cmp ecx,500; mov [0x8004],eax;
        // jne M; inc dword [0x8008]; M: dec ecx; jne L; hlt
        try guest.load(
            [
                0xB9, 0xE8, 3, 0, 0, 0x31, 0xC0, 0x01, 0xC8, 0x83, 0x15, 0, 0x80, 0, 0, 0, 0x81, 0xF9, 0xF4,
                1,
                0, 0, 0xA3, 4, 0x80, 0, 0, 0x75, 6, 0xFF, 5, 8, 0x80, 0, 0, 0x49, 0x75, 0xE1, 0xF4,
            ], at: 0x1000)
        #expect(guest.run(from: 0x1000) == .halt)
        #expect(guest.cpu[r32: GPR.eax] == 500_500)
        #expect(try guest.memory.read(0x8004, as: UInt32.self) == 500_500)
        #expect(try guest.memory.read(0x8008, as: UInt32.self) == 1)
    }

    @Test("an instruction that the one before it changes", arguments: MicroGuest.Kind.allCases)
    func selfModifying(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        // mov byte [0x1008],7; mov eax,1 (its immediate is at 0x1008); hlt
        try guest.load([0xC6, 5, 8, 0x10, 0, 0, 7, 0xB8, 1, 0, 0, 0, 0xF4], at: 0x1000)
        #expect(guest.run(from: 0x1000) == .halt)
        #expect(guest.cpu[r32: GPR.eax] == 7)
    }

    @Test("an instruction in two pages, and its second half changed", arguments: MicroGuest.Kind.allCases)
    func split(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        // At 0x1FFE: mov eax,imm32; then inc byte [0x2001]; dec ebx; jne 0x1ffe; hlt
        try guest.load(
            [0xB8, 0x34, 0x12, 0, 0, 0xFE, 5, 1, 0x20, 0, 0, 0x4B, 0x75, 0xF2, 0xF4], at: 0x1FFE)
        guest.cpu[r32: GPR.ebx] = 3
        #expect(guest.run(from: 0x1FFE) == .halt)
        #expect(guest.cpu[r32: GPR.eax] == 0x0200_1234 >> 0 & 0xFFFF | 0x0002_0000)
    }

    @Test("code that a device writes", arguments: MicroGuest.Kind.allCases)
    func deviceWrites(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        try guest.load([0xB8, 1, 0, 0, 0, 0xF4], at: 0x1000)
        #expect(guest.run(from: 0x1000) == .halt)
        try guest.load([2], at: 0x1001)
        #expect(guest.run(from: 0x1000) == .halt)
        #expect(guest.cpu[r32: GPR.eax] == 2)
    }

    @Test("a page fault in the middle of rep movs", arguments: MicroGuest.Kind.allCases)
    func faultInRepeat(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        try guest.enablePaging()
        try guest.memory.write(UInt32(0), at: 0x10_1000 + 0x81 * 4)  // 0x81000 is not there
        guest.cpu[r32: GPR.esi] = 0x2_0000
        guest.cpu[r32: GPR.edi] = 0x8_0F00
        guest.cpu[r32: GPR.ecx] = 0x100
        try guest.load([0xFC, 0xF3, 0xA5, 0xF4], at: 0x1000)
        let fault = Fault(vector: Vector.pageFault, errorCode: 2, address: 0x8_1000)
        #expect(guest.run(from: 0x1000) == .exception(fault))
        #expect(guest.cpu.eip == 0x1001)
        #expect(guest.cpu[r32: GPR.ecx] == 0xC0)
        #expect(guest.cpu[r32: GPR.edi] == 0x8_1000)
    }

    @Test("a store that faults leaves everything", arguments: MicroGuest.Kind.allCases)
    func faultInStore(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        try guest.enablePaging()
        try guest.memory.write(UInt32(0x8_0001), at: 0x10_1000 + 0x80 * 4)  // read-only
        guest.cpu[r32: GPR.eax] = 5
        // inc eax; add [0x80ffe],eax (in two pages); hlt
        try guest.load([0x40, 0x01, 5, 0xFE, 0x0F, 8, 0, 0xF4], at: 0x1000)
        let fault = Fault(vector: Vector.pageFault, errorCode: 3, address: 0x8_0FFE)
        #expect(guest.run(from: 0x1000) == .exception(fault))
        #expect(guest.cpu.eip == 0x1001)
        #expect(guest.cpu[r32: GPR.eax] == 6)
        #expect(guest.cpu.instructions == 1)
    }

    @Test("code that unmaps itself", arguments: MicroGuest.Kind.allCases)
    func unmapsItself(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        try guest.enablePaging()
        // mov dword [0x101004],0; invlpg [0x1000]; inc eax; hlt
        try guest.load(
            [0xC7, 5, 4, 0x10, 0x10, 0, 0, 0, 0, 0, 0x0F, 1, 0x3D, 0, 0x10, 0, 0, 0x40, 0xF4], at: 0x1000)
        let fault = Fault(vector: Vector.pageFault, errorCode: 0, address: 0x1011)
        #expect(guest.run(from: 0x1000) == .exception(fault))
        #expect(guest.cpu[r32: GPR.eax] == 0)
    }

    @Test("popf that sets the trap flag", arguments: MicroGuest.Kind.allCases)
    func trapFlag(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        // push 0x102; popf; inc eax; inc eax; hlt
        try guest.load([0x68, 2, 1, 0, 0, 0x9D, 0x40, 0x40, 0xF4], at: 0x1000)
        #expect(guest.run(from: 0x1000) == .debugTrap)
        #expect(guest.cpu[r32: GPR.eax] == 1)
        #expect(guest.cpu.eip == 0x1007)
    }

    @Test("64 address spaces with other code at the same address", arguments: MicroGuest.Kind.allCases)
    func addressSpaces(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        // Directory n at 0x200000 + n pages, its table for 4 MiB at 0x240000 + n pages, code at 0x280000 + n.
        for n in 0..<UInt32(64) {
            let directory = UInt64(0x20_0000 + n << 12)
            try guest.memory.write(UInt32(0x10_1003), at: directory)
            try guest.memory.write(0x24_0003 + n << 12, at: directory + 4)
            try guest.memory.write(0x28_0003 + n << 12, at: UInt64(0x24_0000 + n << 12))
            try guest.load([0x81, 0xC3] + little(1 << (n & 15)) + [0xC3], at: UInt64(0x28_0000 + n << 12))
        }
        try guest.enablePaging()
        // L: mov eax,ecx; and eax,63; shl eax,12; add eax,0x200000; mov cr3,eax; mov edx,0x400000;
        // call edx; call 0x400000; dec ecx; jne L; hlt
        var code: [UInt8] = [
            0x89, 0xC8, 0x83, 0xE0, 63, 0xC1, 0xE0, 12, 0x05, 0, 0, 0x20, 0, 0x0F, 0x22, 0xD8,
        ]
        code +=
            [0xBA, 0, 0, 0x40, 0, 0xFF, 0xD2, 0xE8] + little(0x40_0000 - 0x101C) + [0x49, 0x75, 0xE1, 0xF4]
        try guest.load(code, at: 0x1000)
        guest.cpu[r32: GPR.ecx] = 640
        #expect(guest.run(from: 0x1000) == .halt)
        #expect(guest.cpu[r32: GPR.ebx] == 640 / 16 * 2 * 0xFFFF)
    }

    @Test("more code than the cache takes", arguments: MicroGuest.Kind.allCases)
    func fillsTheCache(_ kind: MicroGuest.Kind) throws {
        let guest = try MicroGuest(kind)
        // 20000 times: inc dword [0x8000]; jmp to the next
        var code: [UInt8] = []
        for _ in 0..<20_000 { code += [0xFF, 5, 0, 0x80, 0, 0, 0xEB, 0] }
        try guest.load(code + [0xF4], at: 0x10_0000)
        for _ in 0..<2 { #expect(guest.run(from: 0x10_0000) == .halt) }
        #expect(try guest.memory.read(0x8000, as: UInt32.self) == 40_000)
        if kind == .tinyTranslator { #expect(guest.engine.counters.flushes > 2) }
    }

    @Test("divisions that fault, and those at the edge", arguments: MicroGuest.Kind.allCases)
    func divisions(_ kind: MicroGuest.Kind) throws {
        // div ecx; hlt, and idiv ecx; hlt
        for (opcode, eax, edx, ecx, works) in [
            (0xF1, 7, 0, 2, true), (0xF1, 7, 2, 2, false), (0xF1, 7, 0, 0, false),
            (0xF9, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFF, false), (0xF9, 9, 0, 0xFFFF_FFFF, true),
            (0xF9, 9, 1, 3, true),
        ] as [(UInt8, UInt32, UInt32, UInt32, Bool)] {
            let guest = try MicroGuest(kind)
            try guest.load([0xF7, opcode, 0xF4], at: 0x1000)
            guest.cpu[r32: GPR.eax] = eax
            guest.cpu[r32: GPR.edx] = edx
            guest.cpu[r32: GPR.ecx] = ecx
            #expect(guest.run(from: 0x1000) == (works ? .halt : .exception(.divideError)))
        }
    }
}

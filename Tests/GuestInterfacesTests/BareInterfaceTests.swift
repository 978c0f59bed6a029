// SPDX-License-Identifier: Apache-2.0
//
// The bare interface with both engines: rings, gates, tasks, interrupts, the ends of a guest.

import Devices
import GuestInterfaces
import Testing
import X86

@Suite("Bare interface")
struct BareInterfaceTests {
    /// PUSH of user SS, ESP, EFLAGS, CS and EIP, and IRET to it.
    private func toRing3(_ address: UInt32, flags: UInt8 = 2) -> [UInt8] {
        func push(_ value: UInt32) -> [UInt8] {
            [0x68] + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        return push(UInt32(PCGuest.userData)) + push(PCGuest.userStack) + push(UInt32(flags))
            + push(UInt32(PCGuest.userCode)) + push(address) + [0xCF]
    }

    @Test(arguments: [false, true])
    func startState(translates: Bool) throws {
        let guest = try PCGuest([0x89, 0xF0] + PCGuest.store(0) + PCGuest.end, translates: translates)
        #expect(guest.cpu.cpl == 0)
        #expect(try guest.run() == .powerOff, "HLT with interrupts off is the end")
        #expect(try guest.word(0) == 0x1_0000, "ESI has the boot parameters")
    }

    @Test(arguments: [false, true])
    func ringsByIRETAndGate(translates: Bool) throws {
        let guest = try PCGuest(toRing3(0x12_0000), translates: translates)
        // mov eax, cs; int 0x80
        try guest.memory.writeBytes([0x8C, 0xC8, 0xCD, 0x80], at: 0x12_0000)
        // [esp + 4] is the CS that was interrupted, ESP is that of the task minus the frame.
        try guest.setHandler(
            0x80,
            PCGuest.storeBySS(0) + [0x8B, 0x44, 0x24, 0x04] + PCGuest.storeBySS(1) + [0x89, 0xE0]
                + PCGuest.storeBySS(2) + PCGuest.end, privilege: 3)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) & 0xFFFF == UInt32(PCGuest.userCode))
        #expect(try guest.word(1) == UInt32(PCGuest.userCode))
        #expect(try guest.word(2) == PCGuest.kernelStack - 20)
        #expect(guest.interface.counters.traps[0x80] == 1)
    }

    @Test(arguments: [false, true])
    func privilegedInRing3(translates: Bool) throws {
        let guest = try PCGuest(toRing3(0x12_0000), translates: translates)
        try guest.memory.writeBytes([0x90, 0xFA], at: 0x12_0000)  // nop; cli
        try guest.setHandler(
            13, [0x58] + PCGuest.storeBySS(0) + [0x58] + PCGuest.storeBySS(1) + PCGuest.end)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) == 0, "the error code")
        #expect(try guest.word(1) == 0x12_0001, "at the instruction itself")
    }

    @Test(arguments: [false, true])
    func sysenterAndSysexit(translates: Bool) throws {
        // wrmsr 0x174 = 0x10, 0x175 = stack, 0x176 = 0x130000; edx = 0x120000, ecx = user stack; sysexit
        func wrmsr(_ index: UInt8, _ value: UInt32) -> [UInt8] {
            [0xB9, 0x74 + index, 1, 0, 0, 0x31, 0xD2, 0xB8]
                + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } + [0x0F, 0x30]
        }
        let code =
            wrmsr(0, 0x10) + wrmsr(1, PCGuest.kernelStack) + wrmsr(2, 0x13_0000)
            + [0xBA, 0, 0, 0x12, 0, 0xB9, 0, 0xA0, 0, 0, 0x0F, 0x35]
        let guest = try PCGuest(code, translates: translates)
        try guest.memory.writeBytes([0x8C, 0xC8, 0x8C, 0xD3, 0x0F, 0x34], at: 0x12_0000)
        try guest.memory.writeBytes(
            PCGuest.store(0) + [0x8C, 0xC8] + PCGuest.store(1) + [0x89, 0xE0] + PCGuest.store(2)
                + PCGuest.end,
            at: 0x13_0000)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) & 0xFFFF == 0x23)
        #expect(try guest.word(1) & 0xFFFF == 0x10)
        #expect(try guest.word(2) == PCGuest.kernelStack)
    }

    @Test(arguments: [false, true])
    func oneInstructionBehindSTI(translates: Bool) throws {
        // xor eax, eax; sti; inc eax; inc eax; inc eax …
        let guest = try PCGuest(
            [0x31, 0xC0, 0xFB, 0x40, 0x40, 0x40, 0x40] + PCGuest.end, translates: translates)
        guest.setUpInterrupts()
        try guest.setHandler(0x3A, PCGuest.store(0) + PCGuest.end)
        guest.platform.raise(irq: 1)  // input 10
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) == 1, "exactly one instruction runs behind STI")
        #expect(guest.interface.counters.interrupts == 1)
    }

    @Test(arguments: [false, true])
    func interruptsThatAreOff(translates: Bool) throws {
        let guest = try PCGuest([0xB8, 7, 0, 0, 0] + PCGuest.store(0) + PCGuest.end, translates: translates)
        guest.setUpInterrupts()
        try guest.setHandler(0x3A, [0x31, 0xC0] + PCGuest.store(0) + PCGuest.end)
        guest.platform.raise(irq: 1)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) == 7)
        #expect(guest.interface.counters.interrupts == 0)
    }

    /// POPF and IRET enable interrupts without a delay.
    @Test(arguments: [false, true], [false, true])
    func interruptsEnabledByAFlagImage(translates: Bool, byIRET: Bool) throws {
        var code: [UInt8] = [0x31, 0xC0, 0x68, 2, 2, 0, 0]  // xor eax, eax; push 0x202
        if byIRET {
            // push cs; call to the next instruction; add [esp], 5; iret
            code += [0x0E, 0xE8, 0, 0, 0, 0, 0x83, 0x04, 0x24, 0x05, 0xCF]
        } else {
            code += [0x9D]
        }
        let guest = try PCGuest(code + [0x40, 0x40, 0x40] + PCGuest.end, translates: translates)
        guest.setUpInterrupts()
        try guest.setHandler(0x3A, PCGuest.store(0) + PCGuest.end)
        guest.platform.raise(irq: 1)
        #expect(try guest.run() == .powerOff)
        #expect(guest.interface.counters.interrupts == 1)
        #expect(try guest.word(0) == 0)
    }

    @Test(arguments: [false, true])
    func timerWakesFromHalt(translates: Bool) throws {
        // 8254: mode 2, 1000 ticks; sti; hlt; hlt
        let code: [UInt8] = [
            0xB0, 0x34, 0xE6, 0x43, 0xB0, 0xE8, 0xE6, 0x40, 0xB0, 0x03, 0xE6, 0x40, 0xFB, 0xF4, 0xF4,
        ]
        let guest = try PCGuest(code + PCGuest.end, translates: translates)
        guest.setUpInterrupts()
        // inc dword [result]; mov al, 0x20; out 0x20, al; iret
        try guest.setHandler(0x30, [0xFF, 0x05, 0, 0x80, 0, 0, 0xB0, 0x20, 0xE6, 0x20, 0xCF])
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) == 2)
        #expect(guest.clock.monotonicNanoseconds() >= 1_676_000)
    }

    @Test(arguments: [false, true])
    func doubleFaultThroughATaskGate(translates: Bool) throws {
        // int 0x40, which has no gate, with a #GP handler that is not there either
        let guest = try PCGuest([0xB8, 9, 0, 0, 0, 0xCD, 0x40], translates: translates)
        let task: UInt64 = 0x7800
        try guest.setDescriptor(8, PCGuest.taskDescriptor(UInt32(task)))
        try guest.memory.write(UInt32(0x14_0000), at: task + 32)  // EIP
        try guest.memory.write(UInt32(2), at: task + 36)
        try guest.memory.write(UInt32(0xB000), at: task + 40 + 16)  // ESP
        for (index, selector) in [0x18, 0x10, 0x18, 0x18, 0x18, 0x18].enumerated() {
            try guest.memory.write(UInt32(selector), at: task + 72 + UInt64(index) * 4)
        }
        try guest.setTaskGate(8, selector: 0x40)
        // str eax; pop ebx (the error code); mov eax, [old task's EAX]
        try guest.memory.writeBytes(
            [0x0F, 0x00, 0xC8] + PCGuest.store(0) + [0x58] + PCGuest.store(1)
                + [0xA1, 40, 0x70, 0, 0] + PCGuest.store(2) + PCGuest.end, at: 0x14_0000)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) & 0xFFFF == 0x40)
        #expect(try guest.word(1) == 0)
        #expect(try guest.word(2) == 9, "the old task's registers are in its segment")
    }

    @Test(arguments: [false, true])
    func tripleFaults(translates: Bool) throws {
        let guest = try PCGuest([0xCC], translates: translates)
        let death = #expect(throws: GuestDeath.self) { try guest.run() }
        #expect(death?.reason.contains("triple fault") == true)

        // lidt [0x4fe0] with limit 0; int3: how kernels reset
        let other = try PCGuest([0x0F, 0x01, 0x1D, 0xE0, 0x4F, 0, 0, 0xCC], translates: translates)
        #expect(try other.run() == .restart)
    }

    @Test(arguments: [false, true])
    func poweringOff(translates: Bool) throws {
        // mov dx, 0x604; mov ax, 0x3401; out dx, ax; jmp .
        let guest = try PCGuest(
            [0x66, 0xBA, 0x04, 0x06, 0x66, 0xB8, 0x01, 0x34, 0x66, 0xEF, 0xEB, 0xFE], translates: translates)
        #expect(try guest.run() == .powerOff)
    }
}

@Suite("KVM's paravirtual interface")
struct ParavirtualTests {
    private func wrmsr(_ index: UInt32, _ value: UInt32) -> [UInt8] {
        func bytes(_ word: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
        return [0xB9] + bytes(index) + [0x31, 0xD2, 0xB8] + bytes(value) + [0x0F, 0x30]
    }

    @Test(arguments: [false, true])
    func clocks(translates: Bool) throws {
        let guest = try PCGuest(
            wrmsr(0x4B56_4D00, 0x2000) + wrmsr(0x4B56_4D01, 0x2101) + PCGuest.end, translates: translates)
        guest.clock.advance(nanoseconds: 2_500_000_000)
        #expect(try guest.run() == .powerOff)
        let wall = try (0..<3).map { try guest.memory.read(0x2000 + 4 * UInt64($0), as: UInt32.self) }
        #expect(wall[0] & 1 == 0)
        #expect(wall[1] == 1_000_000 && wall[2] == 0, "the date at which the counter was 0")
        let stamp: UInt64 = try guest.memory.read(0x2108)
        let base: UInt64 = try guest.memory.read(0x2110)
        let multiplier: UInt32 = try guest.memory.read(0x2118)
        let shift: UInt8 = try guest.memory.read(0x211C)
        let flags: UInt8 = try guest.memory.read(0x211D)
        let counter = guest.environment.timestampCounter()
        let product = ((counter - stamp) << shift) * UInt64(multiplier)
        let nanoseconds = base + (product >> 32)
        #expect(nanoseconds == 2_500_000_000)
        #expect(flags & 1 == 1)
    }

    @Test func stealTime() throws {
        let guest = try PCGuest([], translates: false)
        let register: UInt32 = 0x4B56_4D03
        #expect(guest.interface.cpuid(leaf: 0x4000_0001, subleaf: 0).eax & 1 << 5 != 0)
        guest.stolen = 5
        #expect(!guest.interface.writeMSR(register, 0x2103))
        #expect(guest.interface.writeMSR(register, 0x2101))
        #expect(guest.interface.readMSR(register) == 0x2101)
        #expect(try guest.memory.read(0x2100, as: UInt64.self) == 5)
        let first: UInt32 = try guest.memory.read(0x2108)
        #expect(first & 1 == 0)
        // Some ticks later there is more of it.
        guest.stolen = 77
        _ = try guest.interface.deliverInterrupts(guest.cpu, now: 50_000_000)
        #expect(try guest.memory.read(0x2100, as: UInt64.self) == 77)
        let second: UInt32 = try guest.memory.read(0x2108)
        #expect(second & 1 == 0 && second != first)
        #expect(guest.interface.writeMSR(register, 0))
        guest.stolen = 99
        _ = try guest.interface.deliverInterrupts(guest.cpu, now: 90_000_000)
        #expect(try guest.memory.read(0x2100, as: UInt64.self) == 77)
        // Outside memory it is the guest's own mistake.
        #expect(guest.interface.writeMSR(register, 0xFFFF_FFC1))
    }

    @Test("a PVH kernel finds the start info in EBX, and a task") func pvhStart() throws {
        let guest = try PCGuest(
            [0x89, 0xD8] + PCGuest.store(0) + PCGuest.end, translates: false, start: .pvh(0x1_2000))
        #expect(guest.cpu[segment: SegmentIndex.tr].limit == 0x67)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) == 0x1_2000)
    }

    @Test func signatureAndFeatures() throws {
        let guest = try PCGuest([], translates: false)
        let leaf = guest.interface.cpuid(leaf: 0x4000_0000, subleaf: 0)
        #expect([leaf.ebx, leaf.ecx, leaf.edx] == [0x4B4D_564B, 0x564B_4D56, 0x4D])
        #expect(guest.interface.cpuid(leaf: 0x4000_0001, subleaf: 0).eax & 1 << 3 != 0)
        #expect(guest.interface.cpuid(leaf: 1, subleaf: 0).ecx >> 31 == 1)
    }

    @Test(arguments: [false, true])
    func unknownRegistersAndCalls(translates: Bool) throws {
        // vmcall; store; rdmsr of a register that is not there
        let guest = try PCGuest(
            [0x0F, 0x01, 0xC1] + PCGuest.store(0) + [0xB9, 0x34, 0x12, 0, 0, 0x0F, 0x32],
            translates: translates)
        try guest.setHandler(13, [0xB8, 13, 0, 0, 0] + PCGuest.store(1) + PCGuest.end)
        #expect(try guest.run() == .powerOff)
        #expect(try guest.word(0) == 0 &- 1000)
        #expect(try guest.word(1) == 13)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the built-in guest cannot check from the inside: other generations, code that runs before
// LGUEST_INIT, and guests that must be stopped.

import Engine
import GuestMemory
import Testing
import X86

@testable import GuestInterfaces

@Suite("lguest interface")
struct LguestInterfaceTests {
    @Test("before LGUEST_INIT: stack-protector loads, MSRs, ports, control registers and CPUID work")
    func early() throws {
        let code: [UInt8] =
            [0x65, 0xA1, 0x14, 0x00, 0x00, 0x00]  // mov %gs:0x14,%eax
            + [0x64, 0xA1, 0x14, 0x00, 0x00, 0x00]  // mov %fs:0x14,%eax
            + Code.ecx(0x8B) + [0x0F, 0x32]  // rdmsr
            + [0x0F, 0x30]  // wrmsr
            + [0x0F, 0x20, 0xC0]  // mov %cr0,%eax
            + [0x0F, 0x22, 0xC0]  // mov %eax,%cr0
            + [0x0F, 0x20, 0xD8]  // mov %cr3,%eax
            + [0xFA]  // cli
            + [0xE4, 0x64]  // in $0x64,%al
            + [0xE6, 0x80]  // out %al,$0x80
            + [0x0F, 0xA2]  // cpuid
            + [0x0F, 0x31]  // rdtsc
            + Code.initialise + Code.stop
        let guest = try MicroGuest(code)
        #expect(guest.death() == nil)
        #expect(guest.interface.data?.layout.noirqIret == 0x560)
    }

    @Test("rdmsr reads zero before the guest can handle #GP")
    func earlyMSR() throws {
        let guest = try MicroGuest(
            Code.edx(7) + Code.eax(7) + Code.ecx(0x17) + [0x0F, 0x32] + Code.stop)
        #expect(guest.death() == nil)
        #expect(guest.cpu[r32: GPR.eax] == 0 && guest.cpu[r32: GPR.edx] == 0)
    }

    @Test("LGUEST_INIT fills in the shared page, and registers stay as they are")
    func initialise() throws {
        let guest = try MicroGuest(Code.esi(0x1234) + Code.initialise + Code.stop)
        #expect(guest.death() == nil)
        let base = UInt64(MicroGuest.dataAddress)
        #expect(try guest.memory.read(base + 0x0C, as: UInt32.self) == 1_000_000)
        #expect(try guest.memory.read(base + 0x558, as: UInt32.self) == 0x40_0000)
        #expect(try guest.memory.read(base + 0x55C, as: UInt32.self) == 1_000_000)
        #expect(guest.cpu[r32: GPR.eax] == 1 && guest.cpu[r32: GPR.ebx] == MicroGuest.dataAddress)
        #expect(guest.cpu[r32: GPR.esi] == 0x1234)
    }

    @Test("2.6.25 to 2.6.29: the address in EDX, first page tables built by the host")
    func generation2() throws {
        let guest = try MicroGuest(
            Code.eax(1) + Code.edx(MicroGuest.dataAddress) + Code.int1F
                // SET_STACK with arguments in EDX, EBX, ECX
                + Code.eax(7) + Code.edx(0x69) + Code.ebx(0x8000) + Code.ecx(1) + Code.int1F
                // a load through the linear map
                + [0xA1] + Code.little(0xC000_0000 + MicroGuest.dataAddress + 4) + Code.stop,
            layout: .g2)
        #expect(guest.death() == nil)
        #expect(guest.interface.stackPointer == 0x8000)
        #expect(guest.cpu[r32: GPR.eax] == 1, "blocked_interrupts starts as 1")
        let top = try guest.memory.read(UInt64(MicroGuest.dataAddress) + 0x45C, as: UInt32.self)
        #expect(top == 0xFF_F000)
        // A real table in guest memory: entry 0 and entry 768 name the same page.
        let first = try guest.memory.read(UInt64(top), as: UInt32.self)
        #expect(first & 7 == 7)
        #expect(try guest.memory.read(UInt64(top) + 768 * 4, as: UInt32.self) == first)
    }

    @Test("2.6.31 to 2.6.34: vmcall")
    func vmcall() throws {
        let guest = try MicroGuest(
            Code.eax(1) + Code.ebx(MicroGuest.dataAddress) + Code.vmcall + Code.stop, layout: .g4)
        #expect(guest.death() == nil)
        #expect(guest.interface.data?.layout.pgdir == 0x560)
        #expect(guest.cpu.eip == MicroGuest.entry + 13)
    }

    @Test("queued calls of 2.6.25: words in the order EAX, EBX, ECX, EDX")
    func oldRing() throws {
        var layout = Generation.g2
        layout.words = [0x54: 7, 0x58: 0x9000, 0x5C: 1, 0x60: 0x69]
        let guest = try MicroGuest(
            Code.eax(1) + Code.edx(MicroGuest.dataAddress) + Code.int1F
                + [0xC6, 0x05] + Code.little(MicroGuest.dataAddress + 0x14) + [0]  // status[0] = ready
                + Code.eax(0) + Code.int1F + Code.stop,
            layout: layout)
        #expect(guest.death() == nil)
        #expect(guest.interface.stackPointer == 0x9000)
        #expect(try guest.memory.read(UInt64(MicroGuest.dataAddress) + 0x14, as: UInt8.self) == 0xFF)
    }

    @Test("early console of the device-page generations")
    func notify() throws {
        let guest = try MicroGuest(
            Code.initialise + Code.hypercall(17, 0x30000) + Code.stop, layout: .g6)
        try guest.memory.writeBytes(Array("hello\n\0junk".utf8), at: 0x30000)
        #expect(guest.death() == nil)
        #expect(guest.earlyOutput == "hello\n")
    }

    @Test("LOAD_GDT_ENTRY: privilege 0 becomes 1, the host's entries are kept")
    func descriptors() throws {
        let guest = try MicroGuest(
            Code.initialise + Code.hypercall(18, 5, 0x0000_FFFF, 0x00CF_9200)
                + Code.hypercall(18, 10, 0x0000_FFFF, 0x00CF_9200) + Code.stop)
        #expect(guest.death() == nil)
        #expect(guest.cpu.system.privateGDT[5] == 0x00CF_B300_0000_FFFF)
        #expect(guest.cpu.system.privateGDT[10] == 0)
    }

    @Test("power-off, restart and panic are told apart by reason and message")
    func shutdown() throws {
        func end(_ text: String, _ reason: UInt32) throws -> Result<Disposition, GuestDeath> {
            let guest = try MicroGuest(Code.initialise + Code.hypercall(2, 0x30000, reason) + Code.stop)
            try guest.memory.writeBytes(Array(text.utf8) + [0], at: 0x30000)
            return Result { () throws(GuestDeath) in try guest.run() }
        }
        #expect(try end("Power down", 1) == .success(.end(.powerOff)))
        #expect(try end("Restarting system.", 2) == .success(.end(.restart)))
        #expect(
            try end("VFS: no root", 1) == .failure(GuestDeath("CRASH: VFS: no root", isGuestMessage: true)))
    }

    @Test(
        "guests that cannot go on say why",
        arguments: [
            (Code.hypercall(4, 0x1000), "before LHCALL_LGUEST_INIT"),
            (Code.eax(1) + Code.ebx(0x40000) + Code.int1F, "bad guest page"),
            (Code.eax(1) + Code.ebx(0xFFFF_FF00) + Code.int1F, "bad guest page"),
            (Code.initialise + Code.initialise, "already exists"),
            (Code.initialise + Code.hypercall(77), "bad hypercall 77"),
            (Code.initialise + Code.hypercall(13, 0, 0), "bad hypercall 13"),
            (Code.initialise + Code.hypercall(6, 256, 0, 0x8E00), "setting idt entry 256"),
            (Code.initialise + Code.hypercall(6, 3, 0, 0x8500), "bad IDT type 5"),
            (Code.initialise + Code.hypercall(18, 32, 0, 0), "too many gdt entries"),
            (Code.initialise + Code.hypercall(3, 0, 33, 0), "too many gdt entries"),
            (Code.initialise + Code.hypercall(7, 0x68, 0x8000, 1), "bad stack segment"),
            (Code.initialise + Code.hypercall(7, 0x69, 0x8000, 3), "bad stack pages"),
            (Code.initialise + Code.hypercall(4, 0xFFFF_F000), "bad page table"),
            (Code.initialise + Code.hypercall(15, 0, 5000), "attempt to set pgd"),
            (Code.initialise + Code.hypercall(16, 0xFFFF_FFF0), "bad read address"),
            (Code.initialise + Code.hypercall(2, 0xFFFF_FFF0, 1), "bad read address"),
            (Code.initialise + Code.hypercall(17, 0xF000_0000), "no such device"),
            ([0x0F, 0x0B], "unhandled trap 6 (invalid opcode)"),
            (Code.initialise + [0x0F, 0x0B], "the guest has set no handler"),
            ([0xF4], "halted (hlt)"),
            ([0xCD, 0x80], "unhandled trap 13"),
            ([0xEA, 0, 0, 0, 0, 0x18, 0], "unhandled trap 13"),
        ] as [([UInt8], String)])
    func deaths(code: [UInt8], reason: String) throws {
        let guest = try MicroGuest(code + Code.stop)
        let death = try #require(guest.death(), "the guest went on")
        #expect(death.reason.contains(reason), "\(death.reason)")
    }

    @Test("a trap whose frame does not fit the stack ends the guest: lguest's triple fault")
    func badStack() throws {
        // IDT entry 6 is set, but ESP points outside memory.
        let guest = try MicroGuest(
            Code.initialise + Code.hypercall(6, 6, 0x0061_0000, 0x0001_8F00)
                + Code.hypercall(4, 0x50000)  // an empty page directory follows: nothing is mapped
                + [0xBC] + Code.little(0xF000_0000) + [0x0F, 0x0B] + Code.stop)
        // Identity map for the code: one page table at 0x51000.
        try guest.memory.write(0x51003 as UInt32, at: 0x50000)
        for page in 0..<UInt32(1024) {
            try guest.memory.write(page << 12 | 3, at: 0x51000 + UInt64(page) * 4)
        }
        let death = try #require(guest.death())
        #expect(death.reason.contains("bad stack page"))
    }

    @Test("HALT sleeps until the clock event, whatever the interrupt flag says")
    func halt() throws {
        let handler: UInt32 = 0x12000
        let guest = try MicroGuest(
            Code.initialise
                + Code.hypercall(6, 32, 0x0061_0000 | handler & 0xFFFF, handler & 0xFFFF_0000 | 0x8E00)
                + [0xBC] + Code.little(0x40000)
                + [0xC7, 0x05] + Code.little(MicroGuest.dataAddress + 4) + Code.little(0)  // unblock IRQ 0
                + Code.hypercall(9, 5000) + Code.eax(10) + Code.int1F + Code.stop)
        try guest.memory.writeBytes(Code.stop, at: UInt64(handler))
        #expect(try guest.run() == .halt)
        guest.clock.advance(nanoseconds: 4999)
        #expect(try guest.run() == .halt)
        guest.clock.advance(nanoseconds: 1)
        #expect(try guest.run() == .run)
        #expect(guest.cpu.eip == handler)
        #expect(guest.interface.data?.interruptsEnabled == false, "an interrupt gate disables interrupts")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// From user code into a kernel and back, in generated code.

import GuestMemory
import Support
import Testing
import X86

@testable import Engine

/// User code at 0x1000 and a kernel of some bytes at 0x20000, with its own stack below 0x23000, a counter at 0x21000 and a
/// virtual interrupt flag at 0x24000. `int $0x81` ends a run.
private struct CrossingGuest {
    let guest: UserGuest
    var cpu: CPU { guest.cpu }

    static let kernel: UInt32 = 0x2_0000
    static let calls: UInt64 = 0x2_1000
    static let stack: UInt32 = 0x2_3000
    static let flag: UInt64 = 0x2_4000
    static let table: UInt32 = 0x2_5000
    /// inc dword [0x21000]
    static let count: [UInt8] = [0xFF, 0x05] + little(UInt32(calls))
    static let iret: [UInt8] = [0xCF]
    static let done = Exit.softwareInterrupt(vector: 0x81, length: 2)
    static let end: [UInt8] = [0xCD, 0x81]

    /// Descriptors 1 to 4: code and data of the kernel at privilege `level`, code and data of users.
    static func descriptors(_ level: UInt64) -> [UInt64] {
        [
            0, 0x00CF_9B00_0000_FFFF | level << 45, 0x00CF_9300_0000_FFFF | level << 45,
            0x00CF_FB00_0000_FFFF,
            0x00CF_F300_0000_FFFF,
        ]
    }

    /// `level`: privilege of the kernel. At 1 its descriptors are not in guest memory.
    init(_ kind: UserGuest.Kind, level: UInt64, user: [UInt8], kernel: [UInt8]) throws {
        guest = try UserGuest(kind)
        for page in stride(from: UInt32(0x2_0000), to: 0x2_6000, by: 0x1000) {
            try guest.map(page, to: page, rights: 0x63)
        }
        let descriptors = CrossingGuest.descriptors(level)
        cpu.system.usesPrivateGDT = level == 1
        for (n, bits) in descriptors.enumerated() {
            cpu.system.privateGDT[n] = bits
            try guest.memory.write(bits, at: UInt64(CrossingGuest.table) + UInt64(n) * 8)
        }
        cpu.system.gdtBase = CrossingGuest.table
        cpu.system.gdtLimit = 39
        cpu.setSegment(SegmentIndex.cs, Descriptor(descriptors[3]).register(selector: 0x1B))
        for index in [SegmentIndex.ss, SegmentIndex.ds, SegmentIndex.es] {
            cpu.setSegment(index, Descriptor(descriptors[4]).register(selector: 0x23))
        }
        for index in [SegmentIndex.fs, SegmentIndex.gs] { cpu.setSegment(index, SegmentRegister()) }
        cpu.setEFLAGS(EFLAGS.interrupt | 2)
        cpu.system.sysenterCS = 0x60
        cpu.system.sysenterESP = CrossingGuest.stack
        cpu.system.sysenterEIP = CrossingGuest.kernel
        try guest.load(user + CrossingGuest.end, at: 0x1000)
        try guest.load(kernel, at: UInt64(CrossingGuest.kernel))
    }

    /// Prepares `int $0x80`.
    func prepare(enabled: Bool = true, clears: Bool = false) throws {
        try guest.memory.write(enabled ? 0x200 : 0 as UInt32, at: CrossingGuest.flag)
        let descriptors = CrossingGuest.descriptors(1)
        var gate = SystemCallGate()
        gate.target = CrossingGuest.kernel
        gate.stackTop = CrossingGuest.stack
        gate.level = 1
        gate.code = Descriptor(descriptors[1]).register(selector: 0x09)
        gate.stack = Descriptor(descriptors[2]).register(selector: 0x11)
        gate.virtualFlag = UInt(bitPattern: guest.memory.base) + UInt(CrossingGuest.flag)
        gate.virtualFlagCode = UInt(bitPattern: guest.memory.codePages) + UInt(CrossingGuest.flag >> 12)
        gate.clearsVirtualFlag = clears ? 1 : 0
        gate.isPrepared = 1
        cpu.system.systemCall = gate
        cpu.fillAhead(CrossingGuest.stack - 4)
    }

    func count(_ label: String) -> UInt64 {
        guest.engine.details.first { $0.counter == .handledInCode && $0.label == label }?.value ?? 0
    }

    /// The frame of the last trap, from its lowest word on.
    func frame() throws -> [UInt32] {
        try (0..<5).map { try guest.word(UInt64(CrossingGuest.stack) - 20 + $0 * 4) }
    }

    /// `mov ecx,rounds; L: BODY; dec ecx; jne L`.
    static func loop(_ rounds: UInt32, _ body: [UInt8]) -> [UInt8] {
        [0xB9] + little(rounds) + body + [0x49, 0x75, UInt8(bitPattern: Int8(-(body.count + 3)))]
    }
}

@Suite("Crossings between user code and the kernel")
struct CrossingTests {
    private static let kinds = [UserGuest.Kind.flat, .windowed]
    /// stc; int 0x80; jnc (to an invalid instruction)
    private static let call: [UInt8] = [0xF9, 0xCD, 0x80, 0x72, 0x02, 0x0F, 0x0B]

    @Test("int 0x80 and iret", arguments: kinds)
    func systemCalls(_ kind: UserGuest.Kind) throws {
        let guest = try CrossingGuest(
            kind, level: 1, user: CrossingGuest.loop(1000, Self.call),
            // xor eax,eax spoils the flags.
            kernel: CrossingGuest.count + [0x31, 0xC0] + CrossingGuest.iret)
        try guest.prepare()
        #expect(guest.guest.run(from: 0x1000) == CrossingGuest.done)
        #expect(try guest.guest.word(CrossingGuest.calls) == 1000)
        #expect(guest.count("system call") == 1000)
        #expect(guest.cpu.system.systemCall.delivered == 1000)
        // The first return is checked by the processor core.
        #expect(guest.count("return to user") == 999)
        #expect(guest.cpu.cpl == 3)
        #expect(guest.cpu[r32: GPR.esp] == 0x9_0000)
        #expect(guest.cpu[segment: SegmentIndex.cs].selector == 0x1B)
        #expect(guest.cpu[segment: SegmentIndex.ss].selector == 0x23)
        let frame = try guest.frame()
        #expect(frame[0] == 0x1005 + 3)
        #expect(frame[1] == 0x1B)
        #expect(frame[2] & ~(EFLAGS.zf | EFLAGS.pf | EFLAGS.af) == EFLAGS.interrupt | EFLAGS.cf | 2)
        #expect(frame[3...] == [0x9_0000, 0x23])
    }

    @Test("the virtual interrupt flag is in the frame, and cleared where the gate says so", arguments: kinds)
    func virtualFlag(_ kind: UserGuest.Kind) throws {
        let guest = try CrossingGuest(
            kind, level: 1, user: CrossingGuest.loop(10, Self.call),
            kernel: CrossingGuest.count + CrossingGuest.iret)
        try guest.prepare(clears: true)
        #expect(guest.guest.run(from: 0x1000) == CrossingGuest.done)
        #expect(try guest.guest.word(CrossingGuest.flag) == 0)
        // The first one found it set.
        #expect(try guest.frame()[2] & EFLAGS.interrupt == 0)
        #expect(try guest.guest.word(CrossingGuest.calls) == 10)
        #expect(guest.cpu.eflagsOther & EFLAGS.interrupt != 0)
    }

    @Test(
        "calls that the interface watches, and a stack that is not there, are its business", arguments: kinds)
    func refused(_ kind: UserGuest.Kind) throws {
        let guest = try CrossingGuest(
            kind, level: 1, user: Self.call, kernel: CrossingGuest.count + CrossingGuest.iret)
        try guest.prepare()
        guest.cpu.system.systemCall.watch(13)
        for (number, exit) in [(13, UserGuest.done), (12, CrossingGuest.done), (1 << 20, CrossingGuest.done)]
        {
            guest.cpu[r32: GPR.eax] = UInt32(number)
            #expect(guest.guest.run(from: 0x1000) == exit)
        }
        #expect(guest.cpu.cpl == 3)
        guest.cpu.system.systemCall.stackTop = 0x80_0000
        #expect(guest.guest.run(from: 0x1000) == UserGuest.done)
        #expect(guest.cpu[r32: GPR.esp] == 0x9_0000)
        guest.cpu.system.systemCall.isPrepared = 0
        #expect(guest.guest.run(from: 0x1000) == UserGuest.done)
        #expect(try guest.guest.word(CrossingGuest.calls) == 2)
    }

    @Test("user code does not return to where the kernel has called from", arguments: kinds)
    func returns(_ kind: UserGuest.Kind) throws {
        // The kernel: call F; L: iret; F: test cl,1; jne 1f; ret; 1: add esp,4; iret. It returns to L, or leaves the call
        // behind, in turn. User code: L: int 0x80; push [0x3000+4*ecx]; ret; next: dec ecx; jne L. It has returned often
        // to `next`, all blocks are linked, when it returns to the kernel's L, with the call just left behind.
        let place = CrossingGuest.kernel + 5
        let kernel: [UInt8] = [0xE8, 1, 0, 0, 0, 0xCF, 0xF6, 0xC1, 1, 0x75, 1, 0xC3, 0x83, 0xC4, 4, 0xCF]
        let body: [UInt8] = [0xCD, 0x80, 0xFF, 0x34, 0x8D] + little(0x3000) + [0xC3]
        let guest = try CrossingGuest(kind, level: 1, user: CrossingGuest.loop(20, body), kernel: kernel)
        let next = UInt32(0x1005 + body.count)
        for round in 1...20 {
            try guest.guest.memory.write(round == 1 ? place : next, at: UInt64(0x3000 + 4 * round))
        }
        try guest.prepare()
        let fault = Fault(vector: Vector.pageFault, errorCode: 5, address: place)
        #expect(guest.guest.run(from: 0x1000) == .exception(fault))
        #expect(guest.cpu.eip == place)
        #expect(guest.cpu.cpl == 3)
        #expect(guest.count("return to user") == 19)
    }

    @Test("user code returns as before, over a system call in the middle", arguments: kinds)
    func userReturns(_ kind: UserGuest.Kind) throws {
        // call F; jmp over; F: int 0x80; mov eax,7; ret
        let body: [UInt8] = [0xE8, 2, 0, 0, 0, 0xEB, 8, 0xCD, 0x80, 0xB8, 7, 0, 0, 0, 0xC3]
        let guest = try CrossingGuest(
            kind, level: 1, user: CrossingGuest.loop(100, body),
            kernel: CrossingGuest.count + CrossingGuest.iret)
        try guest.prepare()
        #expect(guest.guest.run(from: 0x1000) == CrossingGuest.done)
        #expect(try guest.guest.word(CrossingGuest.calls) == 100)
        #expect(guest.cpu[r32: GPR.eax] == 7)
    }

    @Test("sysenter and sysexit", arguments: kinds)
    func fastSystemCalls(_ kind: UserGuest.Kind) throws {
        // User: mov ebx,1000; L: sysenter; dec ebx; jne L. The kernel: ...; mov edx,0x1007; mov ecx,0x90000; sysexit
        let guest = try CrossingGuest(
            kind, level: 0, user: [0xBB] + little(1000) + [0x0F, 0x34, 0x4B, 0x75, 0xFB],
            kernel: CrossingGuest.count + [0xBA] + little(0x1007) + [0xB9] + little(0x9_0000) + [0x0F, 0x35])
        #expect(guest.guest.run(from: 0x1000) == CrossingGuest.done)
        #expect(try guest.guest.word(CrossingGuest.calls) == 1000)
        #expect(guest.count("system call") == 1000)
        #expect(guest.count("return to user") == 1000)
        #expect(guest.cpu.cpl == 3)
        #expect(guest.cpu[segment: SegmentIndex.cs].selector == 0x73)
        #expect(guest.cpu[segment: SegmentIndex.ss].selector == 0x7B)
        #expect(guest.cpu.eflagsOther & EFLAGS.interrupt == 0)
        guest.cpu.system.sysenterCS = 0
        #expect(guest.guest.run(from: 0x1005) == .exception(.generalProtection()))
    }

    @Test("iret by descriptors in guest memory, until they change", arguments: kinds)
    func descriptorsInMemory(_ kind: UserGuest.Kind) throws {
        // The kernel, by sysenter: ...; push 0x23; push 0x90000; push 0x202; push 0x1b; push 0x1007; iret
        let frame: [UInt8] =
            [0x6A, 0x23, 0x68] + little(0x9_0000) + [0x68] + little(0x202) + [0x6A, 0x1B, 0x68]
            + little(0x1007)
        let guest = try CrossingGuest(
            kind, level: 0, user: [0xBB] + little(1000) + [0x0F, 0x34, 0x4B, 0x75, 0xFB],
            kernel: CrossingGuest.count + frame + CrossingGuest.iret)
        #expect(guest.guest.run(from: 0x1000) == CrossingGuest.done)
        #expect(try guest.guest.word(CrossingGuest.calls) == 1000)
        #expect(guest.count("return to user") == 999)
        #expect(guest.cpu.eflagsOther & EFLAGS.interrupt != 0)
        // Not present any more.
        let entry = UInt64(CrossingGuest.table) + 3 * 8
        try guest.guest.memory.write(CrossingGuest.descriptors(0)[3] & ~(1 << 47), at: entry)
        #expect(guest.guest.run(from: 0x1000) == .exception(.notPresent(selector: 0x18)))
        #expect(guest.cpu.cpl == 0)
    }
}

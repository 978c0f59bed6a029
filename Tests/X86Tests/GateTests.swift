// SPDX-License-Identifier: Apache-2.0
//
// Interrupt and trap gates, call gates, returns between rings, task gates, double faults (Intel SDM volume 3, chapters
// 5 to 7).

import CPUTestSupport
import Testing
import X86

@Suite("Gates and rings")
struct GateTests {
    typealias Place = MicroGuest.Place
    typealias Selector = MicroGuest.Selector
    let gp = Vector.generalProtection
    let guest: MicroGuest
    var cpu: CPU { guest.cpu }

    init() throws { guest = try MicroGuest() }

    @Test("From ring 3 to ring 0: the whole frame, flags and the new stack")
    func ring3ToRing0() throws {
        try guest.enter(ring: 3)
        cpu.setEFLAGS(0x202 | EFLAGS.cf | EFLAGS.nt)
        try guest.setGate(0x40, MicroGuest.gate(Selector.code0, Place.handlers + 0x400, 14, dpl: 3))
        #expect(try guest.run([0xCD, 0x40]) == .handler(0x40))
        #expect(
            try guest.stack(5) == [
                Place.code + 2, UInt32(Selector.code3), 0x202 | EFLAGS.cf | EFLAGS.nt, Place.stack3,
                UInt32(Selector.data3),
            ])
        #expect(cpu[r32: GPR.esp] == Place.stack0 - 20)
        #expect(cpu.cpl == 0 && cpu[segment: SegmentIndex.ss].selector == Selector.data0)
        #expect(cpu.eflags & (EFLAGS.interrupt | EFLAGS.nt | EFLAGS.cf) == EFLAGS.cf)
    }

    @Test("A trap gate leaves IF alone; a 16-bit gate pushes words")
    func gateKinds() throws {
        cpu.setEFLAGS(0x202)
        try guest.setGate(0x40, MicroGuest.gate(Selector.code0, Place.handlers + 0x400, 15, dpl: 0))
        #expect(try guest.run([0xCD, 0x40]) == .handler(0x40))
        #expect(cpu.eflags & EFLAGS.interrupt != 0)
        try guest.enter(ring: 0)
        try guest.setGate(0x41, MicroGuest.gate(Selector.code0, 0x8410, 6, dpl: 0))
        try guest.memory.writeBytes([0xF4], at: 0x8410)
        #expect(try guest.run([0xCD, 0x41]) == .handler(0x41))
        #expect(cpu[r32: GPR.esp] == Place.stack0 - 6)
        #expect(cpu.eflags & EFLAGS.interrupt == 0)
        #expect(try guest.stack(1) == [UInt32(Selector.code0) << 16 | 2])
    }

    /// What is wrong with the gate of vector 0x40, and what comes of `int $0x40` in ring 3.
    static let wrongGates: [(UInt64, UInt8, UInt32)] = [
        // A gate that user code may not use, no gate, an absent gate.
        (MicroGuest.gate(0x08, 0x8400, 14, dpl: 0), Vector.generalProtection, 0x202),
        (MicroGuest.gate(0x08, 0x8400, 12, dpl: 3), Vector.generalProtection, 0x202),
        (0, Vector.generalProtection, 0x202),
        (MicroGuest.gate(0x08, 0x8400, 14, dpl: 3, present: false), Vector.segmentNotPresent, 0x202),
        // Its code segment: null, data, of less privilege than the caller's, outside the table, absent.
        (MicroGuest.gate(0x00, 0x8400, 14, dpl: 3), Vector.generalProtection, 0),
        (MicroGuest.gate(0x10, 0x8400, 14, dpl: 3), Vector.generalProtection, 0x10),
        (MicroGuest.gate(0x108, 0x8400, 14, dpl: 3), Vector.generalProtection, 0x108),
        (MicroGuest.gate(0x60, 0x8400, 14, dpl: 3), Vector.segmentNotPresent, 0x60),
        (MicroGuest.gate(0x68, 0x8400, 14, dpl: 3), Vector.generalProtection, 0),
    ]

    @Test("Gates that are wrong", arguments: wrongGates.indices)
    func wrongGate(_ index: Int) throws {
        let (gate, vector, code) = Self.wrongGates[index]
        try guest.setDescriptor(0x60, MicroGuest.segment(0, 0xFFFFF, 0x1A, flags: 0xC))
        try guest.setDescriptor(0x68, MicroGuest.segment(0, 0xFFF, 0x9A, flags: 4))
        try guest.enter(ring: 3)
        try guest.setGate(0x40, gate)
        #expect(try guest.run([0xCD, 0x40]) == .handler(vector))
        let frame = try guest.stack(2)
        #expect(frame == [code, Place.code])
    }

    @Test("A code segment of less privilege than the interrupted code is refused")
    func outwardGate() throws {
        try guest.setGate(0x40, MicroGuest.gate(Selector.code3, 0x8400, 14, dpl: 3))
        #expect(try guest.run([0xCD, 0x40]) == .handler(gp))
        #expect(try guest.stack(1) == [UInt32(Selector.code3 & 0xFFFC)])
    }

    @Test("Stacks in the task-state segment that are wrong: #TS, #SS")
    func wrongStacks() throws {
        for (selector, vector, code): (UInt16, UInt8, UInt32) in [
            (0, Vector.invalidTSS, 0), (0x08, Vector.invalidTSS, 8), (0x23, Vector.invalidTSS, 0x20),
            (0x60, Vector.stackFault, 0x60),
        ] {
            let guest = try MicroGuest()
            try guest.setDescriptor(0x60, MicroGuest.segment(0, 0xFFFFF, 0x12, flags: 0xC))
            // The faults themselves are taken by a task of their own, whose stack works.
            try guest.setGate(vector, MicroGuest.gate(Selector.otherTask, 0, 5, dpl: 0))
            try guest.setOtherTask(handler: vector)
            try guest.write32(Place.task + 8, UInt32(selector))
            try guest.enter(ring: 3)
            try guest.setGate(0x40, MicroGuest.gate(Selector.code0, 0x8400, 14, dpl: 3))
            #expect(try guest.run([0xCD, 0x40]) == .handler(vector), "SS0 \(selector)")
            #expect(try guest.stack(1) == [code])
            #expect(guest.cpu[segment: SegmentIndex.tr].selector == Selector.otherTask)
        }
    }

    @Test("Error codes of exceptions; none for those that have none")
    func errorCodes() throws {
        #expect(try guest.run([0x0F, 0x0B]) == .handler(Vector.invalidOpcode))
        #expect(try guest.stack(2) == [Place.code, UInt32(Selector.code0)])
        try guest.enter(ring: 3)
        #expect(try guest.run([0xF4]) == .handler(gp))
        #expect(try guest.stack(3)[..<3] == [0, Place.code, UInt32(Selector.code3)])
        // RF is set in the image of a fault.
        #expect(try guest.stack(4)[3] & EFLAGS.rf != 0)
    }

    @Test("Double fault: #NP in the delivery of #GP; and through a task gate")
    func doubleFault() throws {
        try guest.setGate(gp, 0)
        try guest.enter(ring: 3)
        #expect(try guest.run([0xF4]) == .handler(Vector.doubleFault))
        #expect(try guest.stack(2) == [0, Place.code])
        try guest.enter(ring: 0)
        try guest.setGate(Vector.doubleFault, MicroGuest.gate(Selector.otherTask, 0, 5, dpl: 0))
        try guest.setOtherTask(handler: Vector.doubleFault)
        cpu[r32: GPR.ebx] = 0x1234
        // A stack that does not work: the frame of #GP cannot be pushed.
        try guest.setDescriptor(0x60, MicroGuest.segment(0, 0xFFF, 0x92, flags: 4))
        #expect(try guest.run([0xB8, 0x60, 0, 0, 0, 0x8E, 0xD0, 0xCD, 0x0D]) == .handler(Vector.doubleFault))
        #expect(try guest.stack(1) == [0])
        #expect(cpu[r32: GPR.esp] == Place.otherStack - 4)
        // The interrupted task is saved, linked and still busy.
        #expect(try guest.read32(Place.task + 52) == 0x1234)
        #expect(try guest.read32(Place.task + 32) == Place.code + 7)
        #expect(try guest.read32(Place.otherTask) & 0xFFFF == UInt32(Selector.task))
        #expect(cpu.eflags & EFLAGS.nt != 0 && cpu.system.cr0 & ControlBits.ts != 0)
        #expect(try guest.descriptor(Selector.otherTask) >> 40 & 0xF == 11)
    }

    @Test("A fault without a way out stops the processor")
    func shutdown() throws {
        cpu.system.idtLimit = 0
        #expect(try guest.run([0x0F, 0x0B]) == .shutdown)
    }

    @Test("IRET from a nested task goes back where it came from")
    func nestedTask() throws {
        try guest.setOtherTask(handler: 0x77)
        // The other task's code: IRET.
        try guest.memory.writeBytes([0xCF], at: UInt64(Place.handlers + 0x77 * 16))
        cpu[r32: GPR.edi] = 77
        // lcall $otherTask,$0
        #expect(try guest.run([0x9A, 0, 0, 0, 0, 0x50, 0]) == .halted)
        #expect(cpu[r32: GPR.edi] == 77 && cpu.eip == Place.code + 8)
        #expect(cpu[segment: SegmentIndex.tr].selector == Selector.task)
        #expect(try guest.descriptor(Selector.otherTask) >> 40 & 0xF == 9)
        // A busy task cannot be called.
        #expect(try guest.run([0x9A, 0, 0, 0, 0, 0x28, 0]) == .handler(gp))
    }

    @Test("A call gate to ring 0 copies parameters; RETF releases them on both stacks")
    func callGate() throws {
        try guest.setDescriptor(0x60, MicroGuest.gate(Selector.code0, 0x12000, 12, dpl: 3, parameters: 2))
        // Ring 0: mov 8(%esp),%eax; lret $8
        try guest.memory.writeBytes([0x8B, 0x44, 0x24, 0x08, 0xCA, 8, 0], at: 0x12000)
        try guest.enter(ring: 3)
        // push $1; push $2; lcall $0x63,$0; int $0x40
        try guest.setGate(0x40, MicroGuest.gate(Selector.code0, Place.handlers + 0x400, 14, dpl: 3))
        #expect(try guest.run([0x6A, 1, 0x6A, 2, 0x9A, 0, 0, 0, 0, 0x63, 0, 0xCD, 0x40]) == .handler(0x40))
        #expect(cpu[r32: GPR.eax] == 2)
        #expect(try guest.stack(5)[1] == UInt32(Selector.code3))
        #expect(try guest.stack(5)[3] == Place.stack3)
    }

    @Test("Far calls and jumps that privilege forbids")
    func forbiddenTransfers() throws {
        try guest.setDescriptor(0x60, MicroGuest.gate(Selector.code0, 0x12000, 12, dpl: 0))
        try guest.setDescriptor(0x68, MicroGuest.gate(Selector.code0, 0x12000, 12, dpl: 3, present: false))
        try guest.setDescriptor(0x70, MicroGuest.gate(Selector.code0, 0x12000, 12, dpl: 3))
        for (opcode, selector, vector): (UInt8, UInt8, UInt8) in [
            (0x9A, 0x63, gp), (0x9A, 0x6B, Vector.segmentNotPresent), (0xEA, 0x73, gp), (0x9A, 0x08, gp),
            (0xEA, 0x08, gp), (0x9A, 0x23, gp), (0x9A, 0, gp), (0xEA, 0x28, gp),
        ] {
            try guest.enter(ring: 3)
            #expect(
                try guest.run([opcode, 0, 0, 1, 0, selector, 0]) == .handler(vector), "\(opcode) \(selector)")
        }
        // Conforming code is entered at the caller's privilege.
        try guest.memory.writeBytes([0xCC], at: 0x12000)
        try guest.setGate(3, MicroGuest.gate(Selector.code0, Place.handlers + 0x30, 14, dpl: 3))
        try guest.enter(ring: 3)
        #expect(try guest.run([0xEA, 0, 0x20, 1, 0, 0x48, 0]) == .handler(3))
        #expect(try guest.stack(2)[1] == UInt32(Selector.conforming | 3))
    }

    @Test("IRET to ring 3: segments that ring 3 may not use become null, IOPL and IF follow")
    func returnOutwards() throws {
        try guest.setGate(0x40, MicroGuest.gate(Selector.code0, Place.handlers + 0x400, 14, dpl: 3))
        try guest.memory.writeBytes([0xCD, 0x40], at: 0x12000)
        // push $data3; push $stack3; push $0x3202; push $code3; push $0x12000; iret
        let bytes: [UInt8] = [
            0x6A, 0x23, 0x68, 0, 0, 3, 0, 0x68, 0x02, 0x32, 0, 0, 0x6A, 0x1B, 0x68, 0, 0x20, 1, 0, 0xCF,
        ]
        #expect(try guest.run(bytes) == .handler(0x40))
        #expect(try guest.stack(5) == [0x12002, 0x1B, 0x3202, 0x30000, 0x23])
        #expect(cpu[segment: SegmentIndex.ds].selector == 0 && !cpu[segment: SegmentIndex.ds].isPresent)
    }

    @Test("SYSENTER and SYSEXIT")
    func fastCalls() throws {
        cpu.system.sysenterCS = 0x08
        cpu.system.sysenterESP = Place.stack0
        cpu.system.sysenterEIP = Place.handlers + 0x500
        try guest.enter(ring: 3)
        #expect(try guest.run([0x0F, 0x34]) == .handler(0x50))
        #expect(cpu.cpl == 0 && cpu[r32: GPR.esp] == Place.stack0 && cpu.eflags & EFLAGS.interrupt == 0)
        cpu[r32: GPR.ecx] = Place.stack3
        cpu[r32: GPR.edx] = 0x12000
        try guest.memory.writeBytes([0xF4], at: 0x12000)
        #expect(try guest.run([0x0F, 0x35]) == .handler(gp))
        #expect(try guest.stack(3)[1] == 0x12000 && cpu.cpl == 0)
        try guest.enter(ring: 3)
        #expect(try guest.run([0x0F, 0x35]) == .handler(gp))
        cpu.system.sysenterCS = 0
        try guest.enter(ring: 3)
        #expect(try guest.run([0x0F, 0x34]) == .handler(gp))
    }
}

extension MicroGuest {
    /// Fills the second task-state segment: ring 0, a stack of its own, at the handler of `vector`.
    func setOtherTask(handler vector: UInt8) throws {
        let base = Place.otherTask
        try write32(base + 32, Place.handlers + UInt32(vector) * 16)
        try write32(base + 36, 2)
        try write32(base + 56, Place.otherStack)
        for index in 0..<6 {
            try write32(base + 72 + 4 * UInt32(index), UInt32(index == 1 ? Selector.code0 : Selector.data0))
        }
        try write32(base + 96, 0)
    }
}

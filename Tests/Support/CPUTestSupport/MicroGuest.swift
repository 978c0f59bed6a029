// SPDX-License-Identifier: Apache-2.0
//
// A machine of twenty lines for tests of the system part: a few descriptors, an IDT whose handlers halt, a task-state
// segment, and whatever bytes a test wants to run, in the ring it wants. Events go through the guest's own IDT.

import Engine
import GuestMemory
import X86

public final class MicroGuest {
    /// Selectors of the descriptors that every micro-guest has.
    public enum Selector {
        public static let code0: UInt16 = 0x08, data0: UInt16 = 0x10, code3: UInt16 = 0x1B,
            data3: UInt16 = 0x23
        public static let task: UInt16 = 0x28, ldt: UInt16 = 0x30, code1: UInt16 = 0x39, data1: UInt16 = 0x41
        public static let conforming: UInt16 = 0x48, otherTask: UInt16 = 0x50
        /// First of the slots that tests fill.
        public static let free: UInt16 = 0x60
    }
    /// Physical and, unless a test turns paging on otherwise, linear addresses.
    public enum Place {
        public static let gdt: UInt32 = 0x1000, ldt: UInt32 = 0x1800, idt: UInt32 = 0x2000,
            task: UInt32 = 0x3000
        public static let otherTask: UInt32 = 0x3400, handlers: UInt32 = 0x8000, code: UInt32 = 0x10000
        public static let stack0: UInt32 = 0x20000, stack1: UInt32 = 0x24000, otherStack: UInt32 = 0x28000
        public static let stack3: UInt32 = 0x30000, data: UInt32 = 0x50000, tables: UInt32 = 0x80000
    }
    public enum Stop: Equatable, Sendable {
        /// The handler of this vector was entered.
        case handler(UInt8)
        /// HLT elsewhere; EIP is behind it.
        case halted
        case shutdown
        case vmcall
        /// The budget ran out.
        case endless
    }

    public let memory: GuestMemory
    public let storage: CPUStorage
    public let interpreter: Interpreter
    public var cpu: CPU { storage.cpu }
    private let environment = NoEnvironment()

    public init() throws {
        memory = try GuestMemory(bytes: 4 << 20)
        storage = try CPUStorage(memory: memory, environment: environment)
        interpreter = Interpreter(memory: memory)
        try buildDescriptors()
        for vector in 0..<256 {
            let handler = Place.handlers + UInt32(vector) * 16
            try memory.write(UInt8(0xF4), at: UInt64(handler))
            try setGate(UInt8(vector), MicroGuest.gate(Selector.code0, handler, 14, dpl: 0))
        }
        cpu.system.gdtBase = Place.gdt
        cpu.system.gdtLimit = 0xFF
        cpu.system.idtBase = Place.idt
        cpu.system.idtLimit = 0x7FF
        let task = MicroGuest.segment(Place.task, 0x2FF, 0x8B)
        cpu.setSegment(SegmentIndex.tr, Descriptor(task).register(selector: Selector.task))
        cpu.setSegment(
            SegmentIndex.ldtr,
            Descriptor(MicroGuest.segment(Place.ldt, 0x7F, 0x82)).register(selector: Selector.ldt))
        try write32(Place.task + 4, Place.stack0)
        try write32(Place.task + 8, UInt32(Selector.data0))
        try write32(Place.task + 12, Place.stack1)
        try write32(Place.task + 16, UInt32(Selector.data1))
        try write32(Place.task + 100, 0x0300_0000)
        try enter(ring: 0)
    }

    private func buildDescriptors() throws {
        let all: [(UInt16, UInt64)] = [
            (Selector.code0, MicroGuest.segment(0, 0xFFFFF, 0x9B, flags: 0xC)),
            (Selector.data0, MicroGuest.segment(0, 0xFFFFF, 0x93, flags: 0xC)),
            (Selector.code3, MicroGuest.segment(0, 0xFFFFF, 0xFB, flags: 0xC)),
            (Selector.data3, MicroGuest.segment(0, 0xFFFFF, 0xF3, flags: 0xC)),
            (Selector.task, MicroGuest.segment(Place.task, 0x2FF, 0x8B)),
            (Selector.ldt, MicroGuest.segment(Place.ldt, 0x7F, 0x82)),
            (Selector.code1, MicroGuest.segment(0, 0xFFFFF, 0xBB, flags: 0xC)),
            (Selector.data1, MicroGuest.segment(0, 0xFFFFF, 0xB3, flags: 0xC)),
            (Selector.conforming, MicroGuest.segment(0, 0xFFFFF, 0x9F, flags: 0xC)),
            (Selector.otherTask, MicroGuest.segment(Place.otherTask, 0x67, 0x89)),
        ]
        for (selector, bits) in all { try setDescriptor(selector, bits) }
    }

    // Building

    public static func segment(_ base: UInt32, _ limit: UInt32, _ access: UInt8, flags: UInt8 = 0) -> UInt64 {
        UInt64(limit & 0xFFFF) | UInt64(base & 0xFF_FFFF) << 16 | UInt64(access) << 40
            | UInt64(limit >> 16 & 15) << 48 | UInt64(flags) << 52 | UInt64(base >> 24) << 56
    }

    public static func gate(
        _ selector: UInt16, _ offset: UInt32, _ type: UInt8, dpl: UInt8, present: Bool = true,
        parameters: UInt8 = 0
    ) -> UInt64 {
        let access = UInt64(type) | UInt64(dpl) << 5 | (present ? 0x80 : 0)
        return UInt64(offset & 0xFFFF) | UInt64(selector) << 16 | UInt64(parameters) << 32 | access << 40
            | UInt64(offset >> 16) << 48
    }

    public func setDescriptor(_ selector: UInt16, _ bits: UInt64) throws {
        let base = selector & 4 != 0 ? Place.ldt : Place.gdt
        try memory.write(bits, at: UInt64(base) + UInt64(selector & 0xFFF8))
    }
    public func descriptor(_ selector: UInt16) throws -> UInt64 {
        try memory.read(UInt64(selector & 4 != 0 ? Place.ldt : Place.gdt) + UInt64(selector & 0xFFF8))
    }
    public func setGate(_ vector: UInt8, _ bits: UInt64) throws {
        try memory.write(bits, at: UInt64(Place.idt) + UInt64(vector) * 8)
    }
    public func write32(_ address: UInt32, _ value: UInt32) throws {
        try memory.write(value, at: UInt64(address))
    }
    public func read32(_ address: UInt32) throws -> UInt32 { try memory.read(UInt64(address)) }

    /// Flat segments and the stack of a ring, without going through any check.
    public func enter(ring: UInt8) throws {
        let (code, data, stack) =
            switch ring {
            case 0: (Selector.code0, Selector.data0, Place.stack0)
            case 1: (Selector.code1, Selector.data1, Place.stack1)
            default: (Selector.code3, Selector.data3, Place.stack3)
            }
        cpu.setPrivilege(ring)
        for index in 0..<6 {
            let selector = index == SegmentIndex.cs ? code : data
            cpu[segment: index] = Descriptor(try descriptor(selector)).register(selector: selector)
        }
        cpu.updateMode()
        cpu[r32: GPR.esp] = stack
        cpu.eip = Place.code
    }

    /// Words on the stack, from the top.
    public func stack(_ count: Int) throws -> [UInt32] {
        try (0..<count).map { try read32(cpu[r32: GPR.esp] &+ 4 * UInt32($0)) }
    }

    // Running

    /// Puts the bytes at `Place.code`, followed by HLT, and runs from there.
    @discardableResult
    public func run(_ bytes: [UInt8], budget: Int = 1000) throws -> Stop {
        try memory.writeBytes(bytes + [0xF4], at: UInt64(Place.code))
        cpu.eip = Place.code
        return resume(budget: budget)
    }

    public func resume(budget: Int = 1000) -> Stop {
        for _ in 0..<budget {
            var delivery = Delivery.entered
            switch interpreter.run(cpu, budget: 1) {
            case .budget, .edge: break
            case .exception(let fault): delivery = cpu.raise(fault)
            case .softwareInterrupt(let vector, let length):
                delivery = cpu.raiseSoftwareInterrupt(vector, length: length)
            case .debugTrap: delivery = cpu.raiseInterrupt(Vector.debug)
            case .vmcall: return .vmcall
            case .halt:
                let handler = (cpu.eip &- 1 &- Place.handlers) / 16
                let isHandler = cpu.eip > Place.handlers && handler < 256
                return isHandler ? .handler(UInt8(handler)) : .halted
            }
            if delivery == .shutdown { return .shutdown }
        }
        return .endless
    }
}

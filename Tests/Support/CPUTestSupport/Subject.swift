// SPDX-License-Identifier: Apache-2.0
//
// Our own processor in the same surroundings as the host's: ring 3, the same linear addresses mapped with the same
// rights through PAE page tables, the same descriptors under the same selectors.

import CHostOracle
import Engine
import GuestMemory
import X86

/// How our core carries out a case.
public enum Way: String, CaseIterable, Sendable {
    /// `CPU.fetch` and `CPU.execute`, one instruction after the other.
    case stepping
    /// The interpreter's decoded blocks.
    case blocks
    /// The translator's machine code, with flat tables.
    case translated
    /// The same, with a window.
    case windowed
}

public final class Subject {
    public let memory: GuestMemory
    public let storage: CPUStorage
    private let engine: any Engine
    private let pristine: [UInt8]
    private let environment = NoEnvironment()

    // Physical addresses of what only the processor sees; linear addresses are `systemBase` higher.
    private static let systemBase: UInt32 = 0x9A50_0000
    private static let pointers: UInt64 = 0x40000
    private static let lowTable: UInt64 = 0x42000
    private static let systemTable: UInt64 = 0x43000
    private static let lowDirectory: UInt64 = 0x44000
    private static let systemDirectory: UInt64 = 0x45000
    private static let gdt: UInt64 = 0x48000
    private static let ldt: UInt64 = 0x49000

    /// A processor that can run cases by `CPU.execute` and in the way `way`.
    public init(pristine: [UInt8], processorLimit: UInt32 = 0, way: Way = .blocks) throws {
        self.pristine = pristine
        memory = try GuestMemory(bytes: 1 << 20)
        storage = try CPUStorage(memory: memory, environment: environment)
        switch way {
        case .stepping, .blocks: engine = Interpreter(memory: memory)
        case .translated:
            engine = try Translator(memory: memory, storage: storage, codeBytes: 4 << 20, windows: .never)
        case .windowed:
            engine = try Translator(memory: memory, storage: storage, codeBytes: 4 << 20, windows: .atOnce)
        }
        try buildTables(processorLimit)
        try memory.writeBytes([UInt8](repeating: 0xCC, count: 0x2000), at: UInt64(ORACLE_CODE))
        try memory.writeBytes(pristine[0x2000...], at: UInt64(ORACLE_READ_ONLY))
        let cpu = storage.cpu
        cpu.system.cr3 = UInt32(Subject.pointers)
        try cpu.setCR4(ControlBits.pae | ControlBits.osfxsr | ControlBits.osxmmexcpt)
        cpu.system.efer = ControlBits.eferNXE
        try cpu.setCR0(
            ControlBits.pe | ControlBits.pg | ControlBits.wp | ControlBits.am | ControlBits.ne
                | ControlBits.mp)
        cpu.system.gdtBase = Subject.systemBase + UInt32(Subject.gdt)
        cpu.system.gdtLimit = 0x7F
        cpu.setSegment(
            SegmentIndex.ldtr,
            SegmentRegister(
                selector: 0x50, attributes: 0x82, base: Subject.systemBase + UInt32(Subject.ldt),
                limit: UInt32(ORACLE_LDT_ENTRIES) * 8 - 1))
    }

    private func buildTables(_ processorLimit: UInt32) throws {
        let noExecute: UInt64 = 1 << 63
        try memory.write(Subject.lowDirectory | 1, at: Subject.pointers)
        try memory.write(Subject.systemDirectory | 1, at: Subject.pointers + 16)
        try memory.write(Subject.lowTable | 7, at: Subject.lowDirectory)
        let slot = UInt64(Subject.systemBase >> 21 & 0x1FF)
        try memory.write(Subject.systemTable | 3, at: Subject.systemDirectory + slot * 8)
        func map(_ address: Int32, _ pages: Int, _ rights: UInt64) throws {
            for n in 0..<UInt64(pages) {
                let page = UInt64(address) >> 12 + n
                try memory.write(page << 12 | 0x65 | rights, at: Subject.lowTable + page * 8)
            }
        }
        try map(Int32(ORACLE_READ_ONLY), 1, noExecute)
        try map(Int32(ORACLE_WINDOW), 2, noExecute | 2)
        try map(Int32(ORACLE_CODE), 2, 0)
        for page in [Subject.gdt >> 12, Subject.ldt >> 12] {
            let place = (UInt64(Subject.systemBase) >> 12 + page) & 0x1FF
            try memory.write(page << 12 | 0x63 | noExecute, at: Subject.systemTable + place * 8)
        }
        for (selector, bits) in Subject.global {
            try memory.write(bits, at: Subject.gdt + UInt64(selector & 0xFFF8))
        }
        let limit = UInt64(processorLimit & 0xFFFF) | UInt64(processorLimit & 0xF0000) << 32
        try memory.write(0x0040_F500_0000_0000 | limit, at: Subject.gdt + 0x78)
        for n in 0..<Int32(ORACLE_LDT_ENTRIES) {
            try memory.write(oracle_ldt(n), at: Subject.ldt + UInt64(n) * 8)
        }
    }

    /// What Linux has in its global table; of the privileged ones only the privilege shows.
    private static let global: [(UInt16, UInt64)] = [
        (0x08, 0x00CF_9B00_0000_FFFF), (0x10, 0x00AF_9B00_0000_FFFF), (0x18, 0x00CF_9300_0000_FFFF),
        (0x20, 0x00CF_FB00_0000_FFFF), (0x28, 0x00CF_F300_0000_FFFF), (0x30, 0x00AF_FB00_0000_FFFF),
        (0x78, 0x0040_F500_0000_0000),
    ]

    static func descriptor(_ selector: UInt16) -> Descriptor {
        if selector & 4 != 0 { return Descriptor(oracle_ldt(Int32(selector >> 3))) }
        return Descriptor(global.first { $0.0 == selector & 0xFFF8 }?.1 ?? 0)
    }

    /// Base of the segment that `selector` names.
    public static func base(_ selector: UInt16) -> UInt32 { descriptor(selector).base }

    // Running

    /// What running a case gave.
    public struct Result {
        public var outcome: Outcome
        /// Arithmetic flags in it that are undefined.
        public var undefined: UInt32 = 0
        /// The last instruction's, where it is known.
        public var lastOperation: Operation = .invalid
        /// Whether that has a memory operand too large for one access: an x87 environment, an 80-bit number.
        public var lastIsInParts = false
    }

    /// Runs a case; nil when undefined flags or results decided what happened.
    public func run(_ test: TestCase, _ way: Way) throws -> Result? {
        let cpu = storage.cpu
        try prepare(test, cpu)
        let code = test.code
        defer { restoreCode(test) }
        let end = test.eip &+ UInt32(code.count)
        var result = Result(outcome: Outcome())
        var exit: Exit?
        switch way {
        case .stepping:
            var steps = 0
            while exit == nil, cpu.eip != end || steps == 0 || !test.hasEnd, steps < 64 {
                exit = step(cpu, &result)
                if result.undefined == UInt32.max { return nil }
                steps += 1
            }
        case .blocks, .translated, .windowed:
            for _ in 0..<64 where exit == nil {
                let got = engine.run(cpu, budget: 1)
                if got != .budget { exit = got }
                if cpu.eip == end && test.hasEnd && cpu.attention == 0 { break }
            }
        }
        result.outcome = collect(cpu, exit, end, test)
        return result
    }

    /// The window as the last case left it.
    public func window() throws -> [UInt8] {
        try memory.readBytes(UInt64(ORACLE_WINDOW), count: Int(ORACLE_WINDOW_SIZE))
    }

    private func restoreCode(_ test: TestCase) {
        let room = Int(ORACLE_CODE + ORACLE_CODE_SIZE) - Int(test.codeAddress)
        let filler = [UInt8](repeating: 0xCC, count: min(room, test.code.count + 8))
        try? memory.writeBytes(filler, at: UInt64(test.codeAddress))
    }

    /// Makes the bytes that are not compared zero, as the oracle does.
    private func forget(_ test: TestCase) {
        let window = UInt32(ORACLE_WINDOW)
        for range in test.forgotten {
            for n in 0..<range.count where range.address &+ n &- window < UInt32(ORACLE_WINDOW_SIZE) {
                try? memory.write(UInt8(0), at: UInt64(range.address &+ n))
            }
        }
    }

    private func prepare(_ test: TestCase, _ cpu: CPU) throws {
        try memory.writeBytes(pristine[..<0x2000], at: UInt64(ORACLE_WINDOW))
        for patch in test.patches { try memory.write(patch.value, at: UInt64(patch.address)) }
        let room = Int(ORACLE_CODE + ORACLE_CODE_SIZE) - Int(test.codeAddress)
        try memory.writeBytes((test.code + test.wayOut).prefix(room), at: UInt64(test.codeAddress))
        for n in 0..<8 { cpu[r32: n] = test.gpr[n] }
        cpu.attention = 0
        cpu.system.interruptShadow = false
        cpu.setPrivilege(3)
        let selectors = test.selectors.list
        for (index, selector) in selectors.enumerated() {
            let present = selector & 0xFFFC != 0
            cpu[segment: index] =
                present
                ? Subject.descriptor(selector).register(selector: selector)
                : SegmentRegister(selector: selector, attributes: 0, base: 0, limit: 0)
        }
        cpu.updateMode()
        cpu.setEFLAGS(test.eflags)
        cpu.eip = test.eip
        if let fpu = test.fpu { cpu.loadFPU(fpu) }
    }

    /// One instruction the plain way.
    private func step(_ cpu: CPU, _ result: inout Result) -> Exit? {
        let tf = cpu.eflags & EFLAGS.tf != 0
        cpu.system.interruptShadow = false
        cpu.system.wrapsAround = true
        defer { cpu.system.wrapsAround = false }
        var traced: Bool { tf && !cpu.system.interruptShadow }
        do throws(Fault) {
            let i = try cpu.fetch()
            let effects = FlagEffects(i, cpu)
            result.lastOperation = i.operation
            result.lastIsInParts = i.isInParts
            if effects.reads & result.undefined != 0 || effects.resultIsUndefined {
                result.undefined = UInt32.max
                return nil
            }
            let before = cpu.eip
            let outcome = try cpu.execute(i)
            if outcome == .repeat && cpu.eip == before { return traced ? .debugTrap : nil }
            result.undefined = result.undefined & ~effects.defines | effects.undefined
            switch outcome {
            case .advance, .repeat: return traced ? .debugTrap : nil
            case .softwareInterrupt(let vector, let length):
                return .softwareInterrupt(vector: vector, length: length)
            case .vmcall: return .vmcall
            case .halt: return .halt
            case .debugTrap: return .debugTrap
            }
        } catch {
            return .exception(error)
        }
    }

    private func collect(_ cpu: CPU, _ exit: Exit?, _ end: UInt32, _ test: TestCase) -> Outcome {
        var o = Outcome()
        o.gpr = (0..<8).map { cpu[r32: $0] }
        o.eflags = cpu.eflags
        o.eip = cpu.eip
        for index in 0..<6 { o.selectors[index] = cpu[segment: index].selector }
        switch exit {
        case nil, .budget, .edge: break
        case .exception(let fault):
            // The far jump behind the bytes was taken.
            if fault.address == UInt32(ORACLE_EXIT) && o.eip == fault.address {
                o.eip = end
                o.selectors.cs = test.selectors.cs
                break
            }
            o.trap = fault.vector
            if fault.hasErrorCode { o.errorCode = fault.errorCode }
            if fault.vector == Vector.pageFault { o.address = fault.address }
        case .softwareInterrupt(let vector, let length):
            // The host's kernel lets user programs use these gates only.
            if vector == Vector.breakpoint || vector == Vector.overflow {
                o.trap = vector
                o.eip &+= UInt32(length)
            } else {
                o.trap = Vector.generalProtection
                o.errorCode = UInt32(vector) << 3 | 2
            }
        case .debugTrap: o.trap = Vector.debug
        case .vmcall, .halt: o.trap = UInt8.max
        }
        forget(test)
        o.windowHash =
            (try? memory.withBytes(
                UInt64(ORACLE_WINDOW), count: Int(ORACLE_WINDOW_SIZE), forWriting: false
            ) { HostProcessor.hash(UnsafeRawBufferPointer($0)) }) ?? 0
        if test.fpu != nil { o.fpu = cpu.saveFPU() }
        return o
    }
}

extension Instruction {
    fileprivate var isInParts: Bool {
        switch operation {
        case .fxsave, .fxrstor: true
        case .x87Memory: destination.size == 0 || destination.size == 10
        default: false
        }
    }
}

extension CPU {
    /// The FXSAVE image of the x87, MMX and SSE registers.
    public func saveFPU() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        for n in 0..<512 {
            bytes[n] = UInt8(truncatingIfNeeded: system.fpu.area[n >> 3] >> UInt64(8 * (n & 7)))
        }
        return bytes
    }

    public func loadFPU(_ bytes: [UInt8]) {
        for n in 0..<64 {
            system.fpu.area[n] = (0..<8).reduce(0) { $0 | UInt64(bytes[n * 8 + $1]) << UInt64(8 * $1) }
        }
    }
}

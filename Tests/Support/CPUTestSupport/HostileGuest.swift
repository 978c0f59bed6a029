// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a guest: code, descriptor tables, page tables and control registers all come from the input. Nothing
// that it does may crash us, hang, or reach memory that is not the guest's.

import Engine
import GuestMemory
import X86

public final class HostileGuest {
    public static let memorySize: UInt64 = 256 << 10
    /// Instructions after which a run ends, about.
    public static let budget: UInt64 = 400
    private let memory: GuestMemory
    private let storage: CPUStorage
    private let engine: any Engine
    private let environment = NoEnvironment()

    // Guest-physical places.
    private static let code: UInt64 = 0x1000, gdt: UInt64 = 0x6000, idt: UInt64 = 0x7000,
        root: UInt64 = 0x8000
    private static let tables: UInt64 = 0x9000, task: UInt64 = 0x7800

    /// On the interpreter, or on the translator with a window for all user code.
    public init(translates: Bool = false) throws {
        memory = try GuestMemory(bytes: HostileGuest.memorySize)
        storage = try CPUStorage(memory: memory, environment: environment)
        engine =
            translates
            ? try Translator(memory: memory, storage: storage, codeBytes: 1 << 20, windows: .atOnce)
            : Interpreter(memory: memory)
    }

    /// What a run did, for statistics.
    public struct Outcome: Sendable {
        public var instructions: UInt64 = 0
        public var events = 0
        public var shutdown = false
    }

    /// Runs a guest made from `input`: 48 bytes of state, then code; tables follow from all of it.
    @discardableResult
    public func run(_ input: [UInt8]) throws -> Outcome {
        let cpu = storage.cpu
        var header = [UInt8](repeating: 0, count: 48)
        for (n, byte) in input.prefix(48).enumerated() { header[n] = byte }
        func word(_ n: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(header[n * 4 + $1]) << UInt32(8 * $1) }
        }
        let seed = input.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        var random = Random(seed: seed)
        let choices = word(0)
        try memory.zero(0, count: HostileGuest.memorySize)
        try fillMemory(input, choices, &random)
        engine.flushCode()
        cpu.resetFlat()
        cpu.attention = 0
        cpu.system.interruptShadow = false
        cpu.system.usesPrivateGDT = false
        cpu.system.fpu = FPUState()
        try setUp(cpu, choices, &random)
        for n in 0..<8 { cpu[r32: n] = word(2 + n) }
        if choices & 0x100 != 0 { cpu[r32: GPR.esp] = 0x3000 + word(6) & 0xFFF }
        for n in 0..<4 { cpu.system.dr[n] = UInt32(HostileGuest.code) + UInt32(random.below(64)) }
        if choices & 0xF000 == 0 { cpu.system.dr[7] = word(10) & 0xFFFF_00FF | 0x400 }
        if cpu.hasBreakpoints { cpu.attention |= Attention.breakpoints }
        cpu.setPrivilege(choices & 1 == 0 ? 0 : 3)
        cpu.setEFLAGS(word(1) & 0x0027_7FD7 | 2)
        cpu.eip = UInt32(HostileGuest.code)
        return loop(cpu)
    }

    private func loop(_ cpu: CPU) -> Outcome {
        var outcome = Outcome()
        let start = cpu.instructions
        while cpu.instructions &- start < HostileGuest.budget && outcome.events < 200 {
            outcome.events += 1
            var delivery = Delivery.entered
            switch engine.run(cpu, budget: 50) {
            case .budget, .edge: break
            case .exception(let fault): delivery = cpu.raise(fault)
            case .softwareInterrupt(let vector, let length):
                delivery = cpu.raiseSoftwareInterrupt(vector, length: length)
            case .debugTrap: delivery = cpu.raiseInterrupt(Vector.debug)
            case .vmcall: cpu.eip = cpu.eip &+ 3
            case .halt: delivery = cpu.raiseInterrupt(0x20)
            }
            if delivery == .shutdown {
                outcome.shutdown = true
                break
            }
        }
        outcome.instructions = cpu.instructions &- start
        return outcome
    }

    /// Code, tables and data.
    private func fillMemory(_ input: [UInt8], _ choices: UInt32, _ random: inout Random) throws {
        try memory.writeBytes(input.dropFirst(48).prefix(0x1800), at: HostileGuest.code)
        for n in 0..<64 as Range<UInt64> {
            let flat: [UInt64] = [
                0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF,
            ]
            var bits = random.chance(50) ? plausibleDescriptor(&random) : random.next()
            if n < 5 && random.chance(95) { bits = flat[Int(n)] }
            try memory.write(bits, at: HostileGuest.gdt + n * 8)
        }
        for n in 0..<256 as Range<UInt64> {
            var gate = random.next()
            if random.chance(80) {
                let offset = HostileGuest.code + UInt64(random.below(0x200))
                let type: UInt64 = random.pick([5, 6, 7, 14, 14, 14, 15])
                let selector: UInt64 = random.chance(85) ? 8 : UInt64(random.below(16) * 8)
                gate = offset & 0xFFFF | selector << 16 | (0x80 | type | 0x60) << 40
            }
            try memory.write(gate, at: HostileGuest.idt + n * 8)
        }
        for n in 0..<26 as Range<UInt64> {
            try memory.write(random.value() & 0xFFFF, at: HostileGuest.task + n * 4)
        }
        if random.chance(90) {
            try memory.write(0x5000 as UInt32, at: HostileGuest.task + 4)
            try memory.write(0x10 as UInt32, at: HostileGuest.task + 8)
        }
        let wide = choices & 4 != 0
        for n in 0..<(wide ? 512 : 1024) as Range<UInt64> {
            // The page itself, with any rights, or anything.
            var entry = n << 12 & 0x3F000 | UInt64(random.below(128)) | (random.chance(80) ? 3 : 0)
            if random.chance(10) { entry = random.next() }
            var top = (random.chance(70) ? HostileGuest.tables : HostileGuest.root) | 7
            if random.chance(20) { top = random.next() & 0xFFFF_FFFF }
            if n == 0 && random.chance(90) { top = HostileGuest.tables | 7 }
            if wide {
                try memory.write(entry, at: HostileGuest.tables + n * 8)
                try memory.write(top, at: 0xA000 + n * 8)
            } else {
                try memory.write(UInt32(truncatingIfNeeded: entry), at: HostileGuest.tables + n * 4)
                try memory.write(UInt32(truncatingIfNeeded: top), at: HostileGuest.root + n * 4)
            }
        }
        if wide {
            for n in 0..<4 as Range<UInt64> {
                try memory.write(0xA001 as UInt64, at: HostileGuest.root + n * 8)
            }
        }
    }

    /// A flat segment, or one with an odd base and limit.
    private func plausibleDescriptor(_ random: inout Random) -> UInt64 {
        let access: UInt64 = random.pick([
            0x93, 0x9B, 0xF3, 0xFB, 0x9F, 0x97, 0x91, 0x99, 0x89, 0x82, 0x8C, 0x85,
        ])
        let flags: UInt64 = random.pick([0xC, 0xC, 0xC, 0x4, 0x0, 0x8])
        let base: UInt64 = random.chance(60) ? 0 : UInt64(random.value() & 0x3FFFF)
        let limit: UInt64 = random.chance(60) ? 0xFFFFF : UInt64(random.value() & 0xFFFFF)
        return limit & 0xFFFF | (base & 0xFF_FFFF) << 16 | access << 40 | (limit >> 16) << 48 | flags << 52
    }

    private func setUp(_ cpu: CPU, _ choices: UInt32, _ random: inout Random) throws {
        cpu.system.gdtBase = choices & 0x200 != 0 ? random.value() : UInt32(HostileGuest.gdt)
        cpu.system.gdtLimit = choices & 0x400 != 0 ? random.value() & 0xFFFF : 0x1FF
        cpu.system.idtBase = choices & 0x800 != 0 ? random.value() : UInt32(HostileGuest.idt)
        cpu.system.idtLimit = 0x7FF
        cpu.system.sysenterCS = random.value() & 0xFF
        cpu.system.sysenterESP = random.value()
        cpu.system.sysenterEIP = UInt32(HostileGuest.code) + UInt32(random.below(256))
        cpu.setSegment(
            SegmentIndex.tr,
            SegmentRegister(selector: 0x28, attributes: 0x8B, base: UInt32(HostileGuest.task), limit: 0x67))
        if choices & 0x1_0000 != 0 {
            for index in 0..<6 where random.chance(20) {
                let d = Descriptor(plausibleDescriptor(&random))
                cpu.setSegment(index, d.register(selector: UInt16(random.below(64) * 8)))
            }
        }
        cpu.system.cr3 = UInt32(HostileGuest.root)
        let wide = choices & 4 != 0
        try? cpu.setCR4(
            ControlBits.osfxsr | ControlBits.osxmmexcpt | (wide ? ControlBits.pae : ControlBits.pse)
                | (choices & 8 != 0 ? ControlBits.de : 0))
        if choices & 0x10 != 0 { cpu.system.efer = ControlBits.eferNXE }
        let paging = choices & 2 != 0 ? ControlBits.pg : 0
        let rights = (choices & 0x20 != 0 ? ControlBits.wp : 0) | (choices & 0x40 != 0 ? ControlBits.am : 0)
        let task = choices & 0x80 != 0 ? ControlBits.ts : 0
        try? cpu.setCR0(ControlBits.pe | paging | rights | task)
    }

    // Inputs

    /// A new input: rows of the instruction table with random operands, or plain noise.
    public static func makeInput(_ random: inout Random) -> [UInt8] {
        var bytes = (0..<48).map { _ in random.byte() }
        for n in 0..<10 where random.chance(60) {
            let value = random.value()
            for k in 0..<4 { bytes[8 + (n % 8) * 4 + k] = UInt8(truncatingIfNeeded: value >> UInt32(8 * k)) }
        }
        // Mostly tables that work.
        if random.chance(80) { bytes[1] &= 0xF1 }
        let entries = InstructionTable.shared.entries
        for _ in 0..<random.within(4...60) {
            if random.chance(15) {
                bytes += (0..<random.within(1...8)).map { _ in random.byte() }
                continue
            }
            let e = random.pick(entries).encoding
            if random.chance(20) {
                bytes.append(random.pick([0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x2E, 0x36, 0x64]))
            }
            if e.prefixes.count == 1 && e.prefixes[0] > 0 {
                bytes.append([0, 0x66, 0xF3, 0xF2][e.prefixes[0]])
            }
            let opcode = e.opcode + random.below(e.count)
            if opcode >> 8 > 0 { bytes.append(0x0F) }
            if opcode >> 8 > 1 { bytes.append(opcode >> 8 == 2 ? 0x38 : 0x3A) }
            bytes.append(UInt8(opcode & 0xFF))
            if let modRM = e.modRM {
                bytes.append(modRM)
            } else if e.hasModRM {
                let mode = e.forms == [1] ? 3 : e.forms == [0] ? random.below(3) : random.below(4)
                bytes.append(UInt8(mode << 6 | random.pick(e.regs) << 3 | random.below(8)))
            }
            // Displacements and immediates, more or less.
            let value = random.value()
            for k in 0..<random.below(5) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * k))) }
        }
        return bytes
    }

    /// Changes an input a little.
    public static func mutate(_ input: [UInt8], _ random: inout Random) -> [UInt8] {
        var bytes = input
        for _ in 0..<random.within(1...4) {
            guard !bytes.isEmpty else { return makeInput(&random) }
            let place = random.below(bytes.count)
            switch random.below(5) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1: bytes[place] = random.byte()
            case 2: bytes.insert(random.byte(), at: place)
            case 3 where bytes.count > 49: bytes.remove(at: place)
            default:
                let end = min(bytes.count, place + random.within(1...12))
                if bytes.count < 0x1000 { bytes.insert(contentsOf: bytes[place..<end], at: place) }
            }
        }
        return bytes
    }
}

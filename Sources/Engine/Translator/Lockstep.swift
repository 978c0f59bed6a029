// SPDX-License-Identifier: Apache-2.0
//
// Both engines on one guest. Before each translated block the processor core carries out the same
// instructions one by one, on the real state but with stores that are taken back; then the block runs, and
// registers, flags, segments, floating-point registers, the exit and what was stored are compared. The first
// difference ends the guest with both states shown.
//
// Instructions whose effects cannot be taken back (ports, clocks, devices, what ends in an exit) run once.

import GuestMemory
import Support
import X86

public final class Lockstep: Engine {
    private let translator: Translator
    private let rehearsal = Rehearsal()
    private let memory: GuestMemory
    private var compared: UInt64 = 0
    private var skipped: UInt64 = 0
    /// Told of the first difference, after which there is nothing more to run.
    private let onDifference: (String) -> Never

    public init(
        memory: GuestMemory, storage: CPUStorage,
        onDifference: @escaping (String) -> Never = { fatalError($0) }
    ) throws(HostDenial) {
        self.memory = memory
        self.onDifference = onDifference
        translator = try Translator(memory: memory, storage: storage)
        translator.connects = false
    }

    public var counters: EngineCounters { translator.counters }
    public var details: [CounterReading] {
        [CounterReading(.blocksCompared, compared), CounterReading(.blocksNotCompared, skipped)]
            + translator.details
    }
    public func flushCode() { translator.flushCode() }
    /// Not asked: each exit is compared.
    public var edge: (any EdgeHandler)?

    public func run(_ cpu: CPU, budget: UInt64) -> Exit {
        let limit = cpu.instructions &+ budget
        while cpu.instructions < limit {
            let exit = step(cpu)
            if exit != .budget || cpu.attention != 0 { return exit }
        }
        return .budget
    }

    /// One block on both.
    private func step(_ cpu: CPU) -> Exit {
        guard cpu.attention == 0, let block = translator.preview(cpu),
            block.allSatisfy(Lockstep.canRehearse)
        else {
            skipped += 1
            return translator.run(cpu, budget: 1)
        }
        let before = cpu.system
        var expected = rehearse(cpu, block.count)
        cpu.system = before
        guard !rehearsal.touchedDevice else {
            skipped += 1
            return translator.run(cpu, budget: 1)
        }
        let exit = translator.run(cpu, budget: 1)
        let retired = cpu.instructions &- before.instructions
        if retired != expected.state.instructions &- before.instructions {
            // The block has ended early, for instance because it overwrote itself: compare that far.
            let after = cpu.system
            rehearsal.undo(memory)
            cpu.system = before
            expected = rehearse(cpu, Int(retired))
            redo()
            cpu.system = after
        }
        compared += 1
        let executed = Array(block.prefix(Int(retired)))
        if let text = Lockstep.difference(expected, cpu, exit, executed) ?? memoryDifference() {
            report(text, before, expected.state, cpu, block)
        }
        return exit
    }

    struct Expected {
        var state: CPUState
        var fault: Fault?
        var eflags: UInt32
    }

    /// What the core makes of at most `count` instructions; memory is as before when this returns.
    private func rehearse(_ cpu: CPU, _ count: Int) -> Expected {
        rehearsal.begin(cpu)
        var fault: Fault?
        var done = 0
        while done < count {
            do throws(Fault) {
                let i = try cpu.fetch()
                let next = cpu.eip &+ UInt32(i.length)
                let outcome = try cpu.execute(i)
                cpu.instructions &+= 1
                done += 1
                if cpu.eip != next || outcome != .advance || cpu.attention != 0 { break }
            } catch {
                fault = error
                break
            }
        }
        let result = Expected(state: cpu.system, fault: fault, eflags: cpu.eflags)
        rehearsal.end(cpu)
        return result
    }

    /// Writes the rehearsed stores again.
    private func redo() {
        for store in rehearsal.stores { try? memory.write(store.after, at: store.address) }
    }

    private func memoryDifference() -> String? {
        rehearsal.difference(memory).map {
            "memory at \(hex(UInt32(truncatingIfNeeded: $0.store.address))): interpreter "
                + "\(hex(UInt32($0.store.after))), translator \(hex(UInt32($0.found)))"
        }
    }

    private func report(
        _ text: String, _ before: CPUState, _ expected: CPUState, _ cpu: CPU, _ block: [Instruction]
    ) {
        var lines = ["lockstep: \(text)", "  block at \(hex(before.eip)):"]
        lines += block.map {
            "    \($0.operation.rawValue), opcode \(hex(UInt32($0.opcode))), \($0.length) bytes"
        }
        for (name, state) in [("before", before), ("interpreter", expected), ("translator", cpu.system)] {
            let registers = (0..<8).map { hex(UInt32(truncatingIfNeeded: state.gpr[$0])) }
            lines.append("  \(name): \(registers.joined(separator: " ")) eip \(hex(state.eip))")
        }
        onDifference(lines.joined(separator: "\n"))
    }

    private static func canRehearse(_ i: Instruction) -> Bool {
        // A clock does not show the same twice.
        if i.operation == .rdtsc { return false }
        // These may ask for a trap or let an interrupt in, which ends the block in ways of each engine's own.
        if i.operation == .popf || i.operation == .sti { return false }
        if NativeSupport.handles(i) { return true }
        switch i.operation {
        case .pusha, .popa, .pushf, .enter, .cmpxchg8b, .movs, .stos, .lods, .scas, .cmps, .pushSegment,
            .popSegment, .movToSegment, .movFromSegment, .fence, .wait, .x87, .x87Memory, .mmx, .mmxMove,
            .mmxImmediate, .emms, .sseConvert, .fxsave, .fxrstor, .ldmxcsr, .stmxcsr, .daa, .das, .aaa, .aas,
            .aam, .aad, .xlat, .bound, .jcc, .jmp, .call, .ret, .push, .pop, .leave, .loope, .loopne, .loop,
            .jcxz,
            .maskmov, .bt, .bts, .btr, .btc, .div, .idiv, .mov:
            return true
        default: return false
        }
    }
}

func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
}

extension Lockstep {
    /// The first field in which the two disagree, or nil.
    static func difference(_ expected: Expected, _ cpu: CPU, _ exit: Exit, _ block: [Instruction]) -> String?
    {
        let state = cpu.system
        if let fault = expected.fault {
            guard exit == .exception(fault) else { return "interpreter raised \(fault), translator \(exit)" }
        } else if case .exception(let fault) = exit {
            return "interpreter raised nothing, translator \(fault)"
        }
        let names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        for n in 0..<8 where state.gpr[n] != expected.state.gpr[n] {
            return "\(names[n]): interpreter \(hex(UInt32(truncatingIfNeeded: expected.state.gpr[n])))"
        }
        if state.eip != expected.state.eip { return "eip: interpreter \(hex(expected.state.eip))" }
        let mask = ~undefinedFlags(block)
        if (cpu.eflags ^ expected.eflags) & mask != 0 {
            return "eflags: interpreter \(hex(expected.eflags)), translator \(hex(cpu.eflags))"
        }
        for n in 0..<8 where state.segments[n] != expected.state.segments[n] { return "segment \(n)" }
        if state.cr2 != expected.state.cr2 || state.cpl != expected.state.cpl { return "system registers" }
        for n in 0..<36 {
            // Not the pointers to the last x87 instruction (bytes 5–23).
            let skipped: UInt64 = n == 0 ? 0xFFFF_FF00_0000_0000 : n == 1 || n == 2 ? UInt64.max : 0
            if (state.fpu.area[n] ^ expected.state.fpu.area[n]) & ~skipped != 0 {
                return "floating-point image at byte \(n * 8)"
            }
        }
        return nil
    }

    /// Flags that the architecture leaves open after these instructions.
    private static func undefinedFlags(_ block: [Instruction]) -> UInt32 {
        var open: UInt32 = 0
        for i in block {
            let writes = FlagEffects(i).writes
            if writes == FlagEffects.all { open = 0 }
            switch i.operation {
            case .mul, .imul1, .imul2, .imul3: open |= EFLAGS.sf | EFLAGS.zf | EFLAGS.af | EFLAGS.pf
            case .bsf, .bsr: open |= EFLAGS.arithmetic & ~EFLAGS.zf
            case .bt, .bts, .btr, .btc: open |= EFLAGS.of | EFLAGS.sf | EFLAGS.af | EFLAGS.pf
            case .shl, .shr, .sar, .shld, .shrd: open |= EFLAGS.af | EFLAGS.of
            case .rol, .ror, .rcl, .rcr: open |= EFLAGS.of
            case .aam, .aad, .daa, .das, .aaa, .aas: open |= EFLAGS.arithmetic
            default: break
            }
        }
        return open
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A guest of a few bytes at privilege 0, run by both engines, for tests of the translator.

import Engine
import GuestMemory
import Testing
import X86

/// A processor's surroundings without anything in them.
final class EmptyEnvironment: CPUEnvironment {
    func mmioRead(_ address: UInt64, width: Int) -> UInt64 { 0 }
    func mmioWrite(_ address: UInt64, width: Int, value: UInt64) {}
    func portRead(_ port: UInt16, width: Int) -> UInt32 { 0 }
    func portWrite(_ port: UInt16, width: Int, value: UInt32) {}
    func timestampCounter() -> UInt64 { 0 }
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult { CPUIDResult() }
    func readMSR(_ index: UInt32) -> UInt64? { nil }
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { false }
}

/// 16 MiB, flat segments, ESP at 0x9000.
struct MicroGuest {
    let memory: GuestMemory
    let storage: CPUStorage
    let engine: any Engine
    var cpu: CPU { storage.cpu }

    enum Kind: CaseIterable {
        case interpreter, translator, tinyTranslator, lockstep
    }

    init(_ kind: Kind) throws {
        memory = try GuestMemory(bytes: 16 << 20)
        storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
        switch kind {
        case .interpreter: engine = Interpreter(memory: memory)
        case .translator: engine = try Translator(memory: memory, storage: storage)
        case .tinyTranslator: engine = try Translator(memory: memory, storage: storage, codeBytes: 4096)
        case .lockstep: engine = try Lockstep(memory: memory, storage: storage)
        }
        cpu.resetFlat()
        cpu[r32: GPR.esp] = 0x9000
    }

    func load(_ bytes: [UInt8], at address: UInt64) throws { try memory.writeBytes(bytes, at: address) }

    /// Runs from `eip` to the first exit that is not just the end of a slice.
    func run(from eip: UInt32, limit: Int = 2_000_000) -> Exit {
        cpu.eip = eip
        while cpu.instructions < limit {
            let exit = engine.run(cpu, budget: 10_000)
            if exit != .budget { return exit }
        }
        return .budget
    }

    /// Paging with identity-mapped 4 KiB pages for the first 4 MiB; tables at 0x100000 and 0x101000.
    func enablePaging() throws {
        try memory.write(UInt32(0x10_1003), at: 0x10_0000)
        for page in 0..<UInt32(1024) { try memory.write(page << 12 | 3, at: 0x10_1000 + UInt64(page) * 4) }
        try cpu.setCR3(0x10_0000)
        try cpu.setCR0(ControlBits.pe | ControlBits.pg | ControlBits.wp)
    }

    var registers: [UInt32] { (0..<8).map { cpu[r32: $0] } }
}

func little(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

// SPDX-License-Identifier: Apache-2.0
//
// User code of a few bytes in ring 3 with page tables, run by each engine and with windows: for tests of what is
// delicate about them. The part of a kernel is played by the test.

import GuestMemory
import Testing
import X86

@testable import Engine

/// 16 MiB. The first 4 MiB are mapped one to one for user code; ESP at 0x90000. `int $0x80` ends a run.
struct UserGuest {
    let memory: GuestMemory
    let storage: CPUStorage
    let engine: any Engine
    var cpu: CPU { storage.cpu }

    enum Kind: CaseIterable {
        case interpreter, flat, windowed, lockstep
    }

    static let directory: UInt32 = 0x40_0000
    static let table: UInt32 = 0x40_1000

    init(_ kind: Kind) throws {
        memory = try GuestMemory(bytes: 16 << 20)
        storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
        switch kind {
        case .interpreter: engine = Interpreter(memory: memory)
        case .flat: engine = try Translator(memory: memory, storage: storage, windows: .never)
        case .windowed: engine = try Translator(memory: memory, storage: storage, windows: .atOnce)
        case .lockstep: engine = try Lockstep(memory: memory, storage: storage)
        }
        try start()
    }

    /// On a translator, with windows as they are earned.
    init(_ translator: (GuestMemory, CPUStorage) throws -> Translator) throws {
        memory = try GuestMemory(bytes: 16 << 20)
        storage = try CPUStorage(memory: memory, environment: EmptyEnvironment())
        engine = try translator(memory, storage)
        try start()
    }

    private func start() throws {
        cpu.resetFlat()
        try memory.write(UserGuest.table | 7, at: UInt64(UserGuest.directory))
        for page in 0..<UInt32(1024) { try map(page << 12, to: page << 12) }
        try cpu.setCR3(UserGuest.directory)
        try cpu.setCR0(ControlBits.pe | ControlBits.pg | ControlBits.wp | ControlBits.am)
        cpu.setPrivilege(3)
        cpu[r32: GPR.esp] = 0x9_0000
    }

    /// Maps the page at linear address `address` (in the first 4 MiB); `rights`: 7 all, 5 read only, 0 none.
    func map(_ address: UInt32, to frame: UInt32, rights: UInt32 = 7) throws {
        try memory.write(frame | rights, at: UInt64(UserGuest.table + address >> 12 * 4))
        storage.tables.flush(page: address >> 12)
    }

    func load(_ bytes: [UInt8], at address: UInt64) throws { try memory.writeBytes(bytes, at: address) }

    /// Runs from `eip` to the first exit that is not just the end of a slice, at most so many instructions.
    @discardableResult
    func run(from eip: UInt32, limit: UInt64 = 2_000_000) -> Exit {
        cpu.eip = eip
        return goOn(limit: limit)
    }

    @discardableResult
    func goOn(limit: UInt64 = 2_000_000) -> Exit {
        let end = cpu.instructions &+ limit
        while cpu.instructions < end {
            // Short slices: a window opens between them.
            let exit = engine.run(cpu, budget: 500)
            if exit != .budget { return exit }
        }
        return .budget
    }

    /// How a run of a program ends that goes as it should.
    static let done = Exit.softwareInterrupt(vector: 0x80, length: 2)
    /// `int $0x80`.
    static let end: [UInt8] = [0xCD, 0x80]

    func word(_ address: UInt64) throws -> UInt32 { try memory.read(address, as: UInt32.self) }
}

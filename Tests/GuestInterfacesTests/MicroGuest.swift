// SPDX-License-Identifier: Apache-2.0
//
// Guests of a few instructions, written as bytes, on the lguest interface alone: no devices, no loader.

import Devices
import Engine
import GuestMemory
import Support
import X86

@testable import GuestInterfaces

/// Nothing around the processor but a clock.
final class BareEnvironment: CPUEnvironment {
    let ports = PortBus()
    func mmioRead(_ address: UInt64, width: Int) -> UInt64 { .max }
    func mmioWrite(_ address: UInt64, width: Int, value: UInt64) {}
    func portRead(_ port: UInt16, width: Int) -> UInt32 { ports.read(port: port, width: width) }
    func portWrite(_ port: UInt16, width: Int, value: UInt32) {}
    func timestampCounter() -> UInt64 { 1 }
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult { CPUIDResult() }
    func readMSR(_ index: UInt32) -> UInt64? { nil }
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { false }
}

final class MicroGuest {
    static let entry: UInt32 = 0x10000
    static let dataAddress: UInt32 = 0x20000

    let memory: GuestMemory
    let storage: CPUStorage
    let interface: LguestInterface
    let engine: Interpreter
    let clock = ManualClock(realtimeSeconds: 1_000_000)
    var cpu: CPU { storage.cpu }

    /// `code` starts at `entry`; `layout` puts a shared page of that generation at `dataAddress`.
    init(_ code: [UInt8], layout: Generation? = .g8) throws {
        memory = try GuestMemory(bytes: 16 << 20)
        let environment = BareEnvironment()
        storage = try CPUStorage(memory: memory, environment: environment)
        engine = Interpreter(memory: memory)
        let box = EarlyBox()
        interface = LguestInterface(
            LguestServices(
                memory: memory, ports: environment.ports, clock: clock, tscKHz: 1_000_000,
                earlyConsole: { box.bytes += $0 }, hostTablesEnd: memory.size, kernelLooksPAE: false))
        earlyBox = box
        try memory.writeBytes(code, at: UInt64(MicroGuest.entry))
        if let layout { try memory.writeBytes(layout.bytes(), at: UInt64(MicroGuest.dataAddress)) }
        interface.start(cpu, entryPoint: MicroGuest.entry)
    }

    private final class EarlyBox { var bytes: [UInt8] = [] }
    private let earlyBox: EarlyBox
    var earlyOutput: String { String(decoding: earlyBox.bytes, as: UTF8.self) }

    /// Runs until the guest executes `jmp .` (EB FE) or ends; at most 100,000 instructions.
    @discardableResult
    func run() throws(GuestDeath) -> Disposition {
        var last: Disposition = .run
        for _ in 0..<1000 {
            guard try interface.deliverInterrupts(cpu, now: clock.monotonicNanoseconds()) else {
                return .halt
            }
            last = try interface.handle(engine.run(cpu, budget: 100), cpu)
            if last != .run { return last }
            if cpu.peek(cpu.eip) == 0xEB && cpu.peek(cpu.eip &+ 1) == 0xFE { return .run }
        }
        return last
    }

    /// The reason for the guest's death, or nil.
    func death() -> GuestDeath? {
        do throws(GuestDeath) {
            try run()
            return nil
        } catch {
            return error
        }
    }
}

/// The shared page as kernels of each generation initialise it (lguest ABI 3.1).
struct Generation {
    var size: Int
    var status: Int
    var entry: Int
    var kernelAddress: Int
    var words: [Int: UInt32] = [:]

    static let g2 = Generation(size: 0x470, status: 0x14, entry: 16, kernelAddress: 0x468)
    static let g4 = Generation(size: 0x574, status: 0x18, entry: 20, kernelAddress: 0x56C)
    static let g6 = Generation(size: 0x570, status: 0x18, entry: 20, kernelAddress: 0x568)
    static let g8 = Generation(size: 0x56C, status: 0x18, entry: 20, kernelAddress: 0x564)

    func bytes(pageOffset: UInt32 = 0xC000_0000, vector: UInt32 = 0x80) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        bytes[4] = 1
        for n in 0..<64 { bytes[status + n] = 0xFF }
        func put(_ value: UInt32, _ at: Int) {
            for n in 0..<4 { bytes[at + n] = UInt8(truncatingIfNeeded: value >> UInt32(8 * n)) }
        }
        put(pageOffset, kernelAddress)
        put(vector, kernelAddress + 4)
        for (at, value) in words { put(value, at) }
        return bytes
    }
}

/// A few instructions as bytes.
enum Code {
    static func little(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
    static func eax(_ value: UInt32) -> [UInt8] { [0xB8] + little(value) }
    static func ecx(_ value: UInt32) -> [UInt8] { [0xB9] + little(value) }
    static func edx(_ value: UInt32) -> [UInt8] { [0xBA] + little(value) }
    static func ebx(_ value: UInt32) -> [UInt8] { [0xBB] + little(value) }
    static func esi(_ value: UInt32) -> [UInt8] { [0xBE] + little(value) }
    static let int1F: [UInt8] = [0xCD, 0x1F]
    static let vmcall: [UInt8] = [0x0F, 0x01, 0xC1]
    static let stop: [UInt8] = [0xEB, 0xFE]
    static let initialise = eax(1) + ebx(MicroGuest.dataAddress) + int1F

    static func hypercall(_ number: UInt32, _ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0) -> [UInt8] {
        eax(number) + ebx(a1) + ecx(a2) + edx(a3) + int1F
    }
}

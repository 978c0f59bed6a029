// SPDX-License-Identifier: Apache-2.0
//
// A processor with a little memory on which tests run single x87, MMX and SSE instructions.

import GuestMemory
import X86

/// Nothing around the processor.
private final class Nowhere: CPUEnvironment {
    func mmioRead(_ address: UInt64, width: Int) -> UInt64 { 0 }
    func mmioWrite(_ address: UInt64, width: Int, value: UInt64) {}
    func portRead(_ port: UInt16, width: Int) -> UInt32 { 0 }
    func portWrite(_ port: UInt16, width: Int, value: UInt32) {}
    func timestampCounter() -> UInt64 { 0 }
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult {
        CPUIDResult(eax: 0, ebx: 0, ecx: 0, edx: 0)
    }
    func readMSR(_ index: UInt32) -> UInt64? { nil }
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { false }
}

/// Code is put at 0x2000; tests use [EDI] = 0x4000 as their memory operand.
struct FloatingBench {
    static let code: UInt32 = 0x2000
    static let data: UInt32 = 0x4000
    let memory: GuestMemory
    private let storage: CPUStorage
    var cpu: CPU { storage.cpu }

    init() throws {
        memory = try GuestMemory(bytes: 0x10_0000)
        storage = try CPUStorage(memory: memory, environment: Nowhere())
        let cpu = storage.cpu
        cpu.system.cr0 = ControlBits.pe | ControlBits.mp | ControlBits.et | ControlBits.ne
        cpu.system.cr4 = ControlBits.osfxsr | ControlBits.osxmmexcpt
        cpu.resetFPU()
        cpu[r32: GPR.edi] = FloatingBench.data
    }

    /// Runs one instruction; its fault comes out as the error.
    func run(_ bytes: UInt8...) throws(Fault) { try run(bytes) }

    func run(_ bytes: [UInt8]) throws(Fault) {
        for (index, byte) in bytes.enumerated() { try cpu.store(FloatingBench.code + UInt32(index), byte) }
        cpu.eip = FloatingBench.code
        try cpu.executeFloating(try cpu.fetch())
    }

    func put<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ value: T, at offset: UInt32 = 0
    ) throws {
        try cpu.store(FloatingBench.data + offset, value)
    }

    func get<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: T.Type, at offset: UInt32 = 0
    ) throws -> T {
        try cpu.load(FloatingBench.data + offset)
    }

    /// FLD m64.
    func push(_ value: Double) throws {
        try put(value.bitPattern, at: 0x800)
        try run(0xDD, 0x87, 0x00, 0x08, 0x00, 0x00)
    }

    /// FSTP m64.
    func pop() throws -> Double {
        try run(0xDD, 0x9F, 0x00, 0x08, 0x00, 0x00)
        return Double(bitPattern: try get(UInt64.self, at: 0x800))
    }
}

extension Fault {
    static let x87 = Fault(vector: Vector.floatingPoint)
    static let simd = Fault(vector: Vector.simdFloatingPoint)
}

// SPDX-License-Identifier: Apache-2.0

import X86

/// Nothing around the processor: no ports, no devices, no time.
final class NoEnvironment: CPUEnvironment {
    func mmioRead(_ address: UInt64, width: Int) -> UInt64 { UInt64.max }
    func mmioWrite(_ address: UInt64, width: Int, value: UInt64) {}
    func portRead(_ port: UInt16, width: Int) -> UInt32 { UInt32.max }
    func portWrite(_ port: UInt16, width: Int, value: UInt32) {}
    func timestampCounter() -> UInt64 { 0 }
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult { CPUIDResult() }
    func readMSR(_ index: UInt32) -> UInt64? { nil }
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { false }
}

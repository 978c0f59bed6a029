// SPDX-License-Identifier: Apache-2.0
//
// What a guest interface decides about the processor itself: what CPUID says, and the model-specific registers
// beyond those of the core.

import X86

public protocol ProcessorIdentity: AnyObject {
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult
    /// Nil for #GP(0).
    func readMSR(_ index: UInt32) -> UInt64?
    /// False for #GP(0).
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool
}

// SPDX-License-Identifier: Apache-2.0
//
// KVM's paravirtual interface, the part that pays here (Linux's documentation, virt/kvm/x86: cpuid, msr,
// hypercalls): a clock that is right from its first reading and needs no calibration.

import Devices
import X86

/// What the guest has set up.
struct ParavirtualState {
    var wallClock: UInt64 = 0
    var systemTime: UInt64 = 0
    var stealTime: UInt64 = 0
    var stealVersion: UInt32 = 0
    /// When the steal time is written next, in monotonic nanoseconds.
    var nextStealTime: UInt64 = 0
}

/// Registers of KVM and of Intel's processors that stock kernels use (SDM volume 4, tables 2-2 and 2-12).
private enum Register {
    static let platformID: UInt32 = 0x17
    static let apicBase: UInt32 = 0x1B
    static let deadline: UInt32 = 0x6E0
    static let microcode: UInt32 = 0x8B
    static let miscEnable: UInt32 = 0x1A0
    static let machineCheckCapabilities: UInt32 = 0x179
    static let machineCheckStatus: UInt32 = 0x17A
    static let wallClockOld: UInt32 = 0x11
    static let systemTimeOld: UInt32 = 0x12
    static let wallClock: UInt32 = 0x4B56_4D00
    static let systemTime: UInt32 = 0x4B56_4D01
    static let stealTime: UInt32 = 0x4B56_4D03
}

extension BareInterface: ProcessorIdentity {
    public func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult {
        BareCPUID.result(leaf: leaf, subleaf: subleaf)
    }

    public func readMSR(_ index: UInt32) -> UInt64? {
        switch index {
        case Register.platformID: 0
        // The boot processor's, enabled.
        case Register.apicBase: LocalAPIC.base | 0x900
        case Register.deadline: platform.localAPIC.deadline
        // Fast string operations are on; nothing else can be chosen.
        case Register.miscEnable: 1
        case Register.machineCheckCapabilities, Register.machineCheckStatus: 0
        case Register.microcode: 1 << 32
        case Register.wallClock, Register.wallClockOld: paravirtual.wallClock
        case Register.systemTime, Register.systemTimeOld: paravirtual.systemTime
        case Register.stealTime: paravirtual.stealTime
        default: nil
        }
    }

    public func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool {
        switch index {
        case Register.microcode, Register.miscEnable: break
        case Register.machineCheckStatus: return value == 0
        // It cannot be moved or switched off.
        case Register.apicBase: return value == LocalAPIC.base | 0x900
        case Register.deadline: platform.localAPIC.deadline = value
        case Register.wallClock, Register.wallClockOld:
            paravirtual.wallClock = value
            writeWallClock(value)
        case Register.systemTime, Register.systemTimeOld:
            paravirtual.systemTime = value
            if value & 1 != 0 { writeSystemTime(value & ~1) }
        case Register.stealTime:
            // Bits 1 to 5 are reserved.
            guard value & 0x3E == 0 else { return false }
            paravirtual.stealTime = value
            if value & 1 != 0 { writeStealTime(services.clock.monotonicNanoseconds()) }
        default: return false
        }
        return true
    }

    /// The date at which the time-stamp counter was 0: version, seconds, nanoseconds. An even version says that the
    /// rest may be read.
    private func writeWallClock(_ address: UInt64) {
        let now = services.clock.realtime()
        let (seconds, rest) = services.timestamp().quotientAndRemainder(dividingBy: 1_000_000_000)
        var start = now.seconds &- Int64(seconds)
        var nanoseconds = Int64(now.nanoseconds) - Int64(rest)
        if nanoseconds < 0 {
            nanoseconds += 1_000_000_000
            start -= 1
        }
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(2 as UInt32)
        bytes.appendLittleEndian(UInt32(truncatingIfNeeded: start))
        bytes.appendLittleEndian(UInt32(truncatingIfNeeded: nanoseconds))
        // An address outside memory is the guest's own mistake: it does without the clock.
        try? services.memory.writeBytes(bytes, at: address)
    }

    /// How to make nanoseconds of the time-stamp counter. They are the same, for ever, so this is written once.
    private func writeSystemTime(_ address: UInt64) {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(2 as UInt32)  // version
        bytes.appendLittleEndian(0 as UInt32)
        bytes.appendLittleEndian(0 as UInt64)  // counter and nanoseconds at the same moment: 0
        bytes.appendLittleEndian(0 as UInt64)
        bytes.appendLittleEndian(0x8000_0000 as UInt32)  // (counter << 1) * 2^31 >> 32
        bytes += [1, 1, 0, 0]  // the shift; the flag "stable"
        try? services.memory.writeBytes(bytes, at: address)
    }

    /// Nanoseconds between two looks at the stolen time: some ticks of a guest.
    private static let stealInterval: UInt64 = 10_000_000

    /// How long the guest has waited for the host's processor: nanoseconds, version, flags; 64 bytes in all.
    func writeStealTime(_ now: UInt64) {
        paravirtual.nextStealTime = now &+ Self.stealInterval
        paravirtual.stealVersion &+= 2
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(services.stolenTime())
        bytes.appendLittleEndian(paravirtual.stealVersion)
        bytes.appendLittleEndian(0 as UInt32)
        try? services.memory.writeBytes(bytes, at: paravirtual.stealTime & ~0x3F)
    }

    /// VMCALL. None of KVM's hypercalls has a use on one processor.
    func hypercall(_ cpu: CPU) {
        let notPermitted: UInt32 = 0 &- 1
        let unknown: UInt32 = 0 &- 1000
        cpu[r32: GPR.eax] = cpu.cpl == 0 ? unknown : notPermitted
        cpu.eip = cpu.eip &+ 3
    }
}

extension [UInt8] {
    fileprivate mutating func appendLittleEndian(_ value: some FixedWidthInteger & UnsignedInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}

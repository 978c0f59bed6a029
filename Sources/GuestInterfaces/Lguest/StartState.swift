// SPDX-License-Identifier: Apache-2.0
//
// The processor at the guest's first instruction (docs: lguest ABI 1.4). One thing is deliberately
// kinder than in the original: FS and GS start as flat data segments instead of null. Code that runs
// before LGUEST_INIT may be compiled with the stack protector, and reads its canary at %gs:0x14; with
// a null GS that killed the original's guests in the early microcode loader.

import X86

/// Selectors and descriptors that every lguest guest starts with.
enum LguestSegments {
    static let kernelCS: UInt16 = 0x61
    static let kernelDS: UInt16 = 0x69
    static let codeDescriptor: UInt64 = 0x00CF_BB00_0000_FFFF
    static let dataDescriptor: UInt64 = 0x00CF_B300_0000_FFFF
    static let codeIndex = 12
    static let dataIndex = 13
}

extension LguestInterface {
    public func start(_ cpu: CPU, entryPoint: UInt32) {
        self.cpu = cpu
        tap = cpu.owner.tap
        firstKind = tap.define(LguestTrace.kinds)
        tap.stubs = LguestTrace.stubs
        cpu.resetFlat()
        cpu.resetFPU()
        cpu.system.usesPrivateGDT = true
        cpu.system.walksTopLevelInMemory = true
        cpu.system.privateGDT[LguestSegments.codeIndex] = LguestSegments.codeDescriptor
        cpu.system.privateGDT[LguestSegments.dataIndex] = LguestSegments.dataDescriptor
        cpu.system.gdtLimit = 32 * 8 - 1
        // As the guest would have found it on the original's host: protected mode, write protection, native
        // FPU errors, SSE enabled. Paging is off: linear addresses are physical ones.
        cpu.system.cr0 = ControlBits.pe | ControlBits.mp | ControlBits.et | ControlBits.ne | ControlBits.wp
        cpu.system.cr4 = ControlBits.osfxsr | ControlBits.osxmmexcpt
        cpu.setPrivilege(1)
        let code = Descriptor(LguestSegments.codeDescriptor).register(selector: LguestSegments.kernelCS)
        let data = Descriptor(LguestSegments.dataDescriptor).register(selector: LguestSegments.kernelDS)
        for index in 0..<6 { cpu.setSegment(index, index == SegmentIndex.cs ? code : data) }
        cpu.setEFLAGS(0x202)
        cpu.eip = entryPoint
        if let signature = services.signature { startAtSignature(signature, cpu) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The processor at a stock kernel's first instruction: Linux's 32-bit boot protocol (its documentation, "The Linux/x86
// Boot Protocol"). Protected mode without paging, flat segments 0x10 and 0x18, interrupts off, the boot
// parameters in ESI. PVH kernels get the same but for EBX and TR (Xen: docs/misc/pvh.pandoc).

import X86

extension BareInterface {
    private static let codeSelector: UInt16 = 0x10
    private static let dataSelector: UInt16 = 0x18

    public func start(_ cpu: CPU, entryPoint: UInt32) {
        cpu.resetFlat()
        cpu.resetFPU()
        processor = cpu
        cpu.system.gdtBase = services.bootGDT.lowerBound
        cpu.system.gdtLimit = UInt32(services.bootGDT.count) - 1
        cpu.system.idtBase = 0
        cpu.system.idtLimit = 0x3FF
        let code = SegmentRegister(selector: Self.codeSelector, attributes: 0xC09B, base: 0, limit: .max)
        let data = SegmentRegister(selector: Self.dataSelector, attributes: 0xC093, base: 0, limit: .max)
        for index in 0..<6 { cpu.setSegment(index, index == SegmentIndex.cs ? code : data) }
        cpu.setEFLAGS(2)
        switch services.start {
        case .linux(let parameters): cpu[r32: GPR.esi] = parameters
        case .pvh(let info):
            cpu[r32: GPR.ebx] = info
            // TR is to hold a busy 32-bit task of the smallest size, at 0.
            cpu.setSegment(
                SegmentIndex.tr, SegmentRegister(selector: 0, attributes: 0x8B, base: 0, limit: 0x67))
        }
        cpu.eip = entryPoint
    }
}

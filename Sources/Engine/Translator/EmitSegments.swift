// SPDX-License-Identifier: Apache-2.0
//
// Loads of DS, ES, FS and GS: kernels do eight of them for each system call. What a load of the same selector has
// found before is in the processor's descriptor cache; anything else is left to the processor core.

import X86

extension BlockEmitter {
    /// MOV or POP.
    func emitLoadSegment(_ k: Int) {
        let i = instructions[k]
        preserveFlags(k)
        if i.operation == .popSegment {
            // All of the stack's element is read, though half of it counts.
            access(k, at: Host.esp, 4, .read) { [self] rm in
                a.load(Host.r9, rm)
                a.op(0xB7, map: 1, reg: Host.r9, .register(Host.r9))
            }
        } else if i.source.isMemory {
            access(k, 2, .read) { [self] rm in a.op(0xB7, map: 1, reg: Host.r9, rm) }
        } else {
            a.op(0xB7, map: 1, reg: Host.r9, .register(hostRegister(i.source.index)))
        }
        let index = Int(i.destination.index)
        a.move(Host.r11, Host.r9)
        a.alu(4, .register(Host.r11), 0xF8)
        a.op(0xC1, reg: 4, .register(Host.r11))  // SHL: 32 bytes an entry
        a.byte(2)
        a.op(0x0B, reg: Host.r9, a.field(layout.segmentKey))
        a.op(0x3B, reg: Host.r9, cached(layout.cachedKey))
        fallBack(k, if: Condition.ne)
        if comparesDescriptors { compareDescriptor(k) }
        let register = layout.segmentSelector(index)
        if index == SegmentIndex.ds || index == SegmentIndex.es {
            a.op(0xF6, reg: 0, cached(layout.cachedTraits))
            a.byte(4)
            fallBack(k, if: Condition.e)
        } else {
            let shift: UInt8 = index == SegmentIndex.gs ? 2 : 0
            a.load(Host.r10, cached(layout.cachedTraits))
            a.alu(4, .register(Host.r10), 3)
            if shift != 0 {
                a.op(0xC1, reg: 4, .register(Host.r10))
                a.byte(shift)
            }
            a.alu(4, a.field(layout.simpleSegments), ~(3 << Int32(shift)))
            a.op(0x09, reg: Host.r10, a.field(layout.simpleSegments))
        }
        a.load64(Host.r10, cached(layout.cachedRegister))
        a.store64(a.field(register), Host.r10)
        a.load(Host.r10, cached(layout.cachedRegister + 8))
        a.store(a.field(register + 8), Host.r10)
        if i.operation == .popSegment { a.lea(Host.esp, .at(Host.esp, 4)) }
    }

    /// To the processor core unless the guest's table still has the descriptor that the cache's entry was made from.
    private func compareDescriptor(_ k: Int) {
        a.move(Host.r9, Host.r11)
        a.op(0xC1, reg: 5, .register(Host.r9))  // SHR: 8 bytes a descriptor
        a.byte(2)
        a.op(0x03, reg: Host.r9, a.field(layout.gdtBase))
        pageNumber(Host.r10, Host.r9)
        a.op(0xC1, reg: 4, .register(Host.r10), wide: true)
        a.byte(3)
        a.op(0x03, reg: Host.r10, a.field(layout.systemReadTable), wide: true)
        a.load64(Host.r10, .at(Host.r10))
        a.op(0x85, reg: Host.r10, .register(Host.r10), wide: true)
        fallBack(k, if: Condition.e)
        a.load64(Host.r10, .sum(Host.r10, Host.r9))
        a.op(0x3B, reg: Host.r10, cached(layout.cachedRaw), wide: true)
        fallBack(k, if: Condition.ne)
    }

    /// A field of the cache's entry whose offset is in R11.
    private func cached(_ offset: Int) -> RM {
        .memory(
            base: Host.state, index: Host.r11, scale: 0,
            displacement: Int32(layout.segmentCache + offset - a.bias))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The edges of guest code that the processor crosses by itself: it asks nobody, so it is it that tells the tap.

import Tap

extension CPU {
    /// The kernel has just gone back to ring 3.
    @inline(__always)
    func traceUser() {
        if traces(.user) { owner.tap.note(.enterUser, eip) }
    }

    /// A control register is read or about to be written. Writing CR3 is how a kernel changes address spaces.
    @inline(__always)
    func traceControl(_ kind: CommonKind, _ index: Int, _ value: UInt32) {
        guard traces(.cr | .schedule | .pagetable) else { return }
        if kind == .controlWrite && index == 3 {
            owner.tap.note(.addressSpace, value)
        } else {
            owner.tap.note(kind, UInt32(index), value)
        }
    }

    /// INVLPG: one translation is forgotten.
    @inline(__always)
    func traceInvalidation(_ address: UInt32) {
        if traces(.pagetable) { owner.tap.note(.invalidation, address) }
    }

    /// SYSENTER, by a program.
    @inline(__always)
    func traceFastSystemCall() {
        guard traces(.syscall), cpl == 3 else { return }
        owner.tap.note(
            .systemCall, self[r32: GPR.eax], self[r32: GPR.ebx], self[r32: GPR.ecx], self[r32: GPR.edx])
    }

    /// Delivers an exception or interrupt through the guest's IDT, as an event.
    func deliverTraced(_ vector: UInt8, _ errorCode: UInt32?, _ source: EventSource) throws(Fault) {
        let mark = beginTrace(vector, errorCode, source)
        do throws(Fault) {
            try enterHandler(of: vector, errorCode, source)
        } catch {
            owner.tap.cancel(mark)
            throw error
        }
        // EIP is at the handler, which the event names.
        if vector == 0x80 { owner.tap.end(mark) } else { owner.tap.end(mark, 2, eip) }
    }

    private func beginTrace(
        _ vector: UInt8, _ errorCode: UInt32?, _ source: EventSource
    ) -> TraceTap.Mark {
        let tap = owner.tap
        let number = UInt32(vector)
        if vector == 0x80 && source == .software {
            return tap.begin(
                .systemCall, self[r32: GPR.eax], self[r32: GPR.ebx], self[r32: GPR.ecx], self[r32: GPR.edx])
        }
        if source == .interrupt { return tap.begin(.interrupt, number &- 32, number) }
        if vector == Vector.pageFault { return tap.begin(.pageFault, system.cr2, errorCode ?? 0, 0, number) }
        return tap.begin(.trap, number, errorCode ?? 0)
    }

    /// A model-specific register (its number is in ECX) is read or about to be written.
    @inline(__always)
    func traceModelSpecific(_ kind: CommonKind, _ value: UInt64) {
        if traces(.msr) {
            owner.tap.note(
                kind, self[r32: GPR.ecx], UInt32(truncatingIfNeeded: value),
                UInt32(truncatingIfNeeded: value >> 32))
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// System calls by `int $0x80`, the trap that user code asks for: what we have done for one is prepared, so that
// generated code does the next ones by itself.

import X86

extension LguestInterface {
    /// Linux's calls that tell the time: time, gettimeofday, clock_gettime, clock_gettime64. While the guest does not trust
    /// its TSC yet, it looks at the shared page for them, which would else be as old as the slice.
    static let clockCalls: Set<Int> = [13, 78, 265, 403]

    /// After one has been delivered.
    func prepareSystemCalls(_ cpu: CPU) {
        guard cpu.system.systemCall.isPrepared == 0, let data, let code = kernelCode, let stack = kernelStack,
            let gate = gate(SystemCallGate.vector), code.isFlat, code.isBig, stack.isFlat, stack.isBig
        else { return }
        let place = data.interruptFlagPlace
        // The flag's word is to lie in one page, as 4 bytes of the guest's always do.
        guard place.word & 3 == 0 else { return }
        var prepared = SystemCallGate()
        prepared.delivered = cpu.system.systemCall.delivered
        prepared.target = gate.gateOffset
        prepared.stackTop = stackPointer
        prepared.level = 1
        prepared.code = code
        prepared.stack = stack
        prepared.virtualFlag = place.word
        prepared.virtualFlagCode = place.codeMark
        prepared.clearsVirtualFlag = gate.type == Descriptor.SystemType.interrupt32 ? 1 : 0
        for number in LguestInterface.clockCalls { prepared.watch(number) }
        prepared.isPrepared = 1
        cpu.system.systemCall = prepared
    }

    /// Something of it has changed.
    func forgetSystemCalls() { cpu?.system.systemCall.isPrepared = 0 }
}

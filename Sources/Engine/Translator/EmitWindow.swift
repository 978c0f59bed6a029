// SPDX-License-Identifier: Apache-2.0
//
// Memory operands in the window: the guest's own addressing with two prefixes, GS for the window's base and a
// 32-bit address, so that it wraps where the guest's does. No flags change and no register is needed. What
// faults goes on in a piece behind the block, which takes the way through the flat tables' slow path. In the
// direct window, which has the kernel's linear map at its own addresses, there is no base and no first prefix.

import CHost
import X86

extension BlockEmitter {
    /// A high byte register cannot be named beside the register that stands for ESP.
    func canUseWindow(_ k: Int) -> Bool {
        let i = instructions[k]
        if flatness > 0 && !isOnStack(i) { return false }
        guard usesHighByte(i.destination) || usesHighByte(i.source) else { return true }
        return i.base != UInt8(GPR.esp)
            && i.segment != UInt8(SegmentIndex.fs) && i.segment != UInt8(SegmentIndex.gs)
    }

    /// Kernel code that has come to memory outside the linear map (of user code, of a device) does so again, and a
    /// fault each time would cost more than the flat tables do each time. So its block is made once more, in which
    /// only these accesses stay direct: with a flatness of 1 what looks like the stack, a local variable, or a
    /// variable of the kernel's; with 2 the stack; with 3 nothing.
    static let allFlat: UInt8 = 3

    private func isOnStack(_ i: Instruction) -> Bool {
        switch i.operation {
        case .movs, .stos, .lods, .scas, .cmps: return false
        default: break
        }
        guard i.destination.isMemory || i.source.isMemory, i.base != UInt8(GPR.esp) else { return true }
        guard flatness == 1 else { return false }
        return i.base == UInt8(GPR.ebp) || i.base == UInt8(GPR.zero) && i.index == UInt8(GPR.zero)
    }

    /// An access to the memory operand of instruction `k`.
    func operandInWindow(
        _ k: Int, _ size: Int, _ kind: Access, isAligned: Bool = false, finish: (() -> Void)?,
        _ body: @escaping (RM) -> Void
    ) {
        let i = instructions[k]
        if i.segment == UInt8(SegmentIndex.fs) || i.segment == UInt8(SegmentIndex.gs) {
            preserveFlags(k)
            let register = formAddress(k)
            windowAccess(k, at: register, 0, size, kind, isAligned: isAligned, finish: finish, body)
            return
        }
        guard case .memory(let base, let index, let scale, let displacement) = effective(i) else { return }
        emitWindowAccess(
            k, .window(base: base, index: index, scale: scale, displacement: displacement), size, kind,
            isAligned: isAligned, finish: finish,
            address: { [self] in
                if base < 0 && index < 0 {
                    a.immediate(Host.r11, i.displacement)
                } else {
                    a.lea(Host.r11, effective(i))
                }
            }, body)
    }

    /// An access at an address in a host register, plus `displacement`.
    /// The instruction adds `stackChange` to ESP, which is left for `settleStack` to do.
    func windowAccess(
        _ k: Int, at register: Int, _ displacement: Int32, _ size: Int, _ kind: Access,
        isAligned: Bool = false, stackChange: Int32 = 0, finish: (() -> Void)? = nil,
        _ body: @escaping (RM) -> Void
    ) {
        let place = register == Host.esp ? displacement &+ stackDelta : displacement
        emitWindowAccess(
            k, .window(base: register, index: -1, scale: 0, displacement: place), size, kind,
            isAligned: isAligned, stackChange: stackChange, finish: finish,
            address: { [self] in
                if register != Host.r11 || displacement != 0 { a.lea(Host.r11, .at(register, displacement)) }
            }, body)
    }

    private func emitWindowAccess(
        _ k: Int, _ operand: RM, _ size: Int, _ kind: Access, isAligned: Bool, stackChange: Int32 = 0,
        finish: (() -> Void)?, address: @escaping () -> Void, _ body: @escaping (RM) -> Void
    ) {
        let pending = stackDelta
        stackDelta &+= stackChange
        let settled = stackDelta
        let restored = neededRestore(k)
        let startPlace = place
        restore(restored)
        a.windowSites.removeAll(keepingCapacity: true)
        inWindow = true
        body(operand)
        inWindow = false
        let sites = a.windowSites
        finish?()
        let after = a.here
        flagsWritten(k, restored: restored)
        let flagsLive = place != .saved
        outOfLine.append { [self] in
            // The instruction has not begun; the host's flags are as they were before it.
            for site in sites {
                cache.sites.append(
                    lguest_fault_site(
                        instruction: UInt32(truncatingIfNeeded: site),
                        target: UInt32(truncatingIfNeeded: a.here)))
            }
            if startPlace == .host { a.saveFlags(layout) }
            if pending != 0 { a.lea(Host.esp, .at(Host.esp, pending)) }
            address()
            if isAligned {
                // A fault for want of alignment has come here, too.
                a.op(0xF6, reg: 0, .register(Host.r11))
                a.byte(15)
                fallBack(k, if: Condition.ne)
            }
            a.immediate(Host.r9, addRecord(k, size, kind, flagsLive: flagsLive, windowed: true))
            a.op(0x33, reg: Host.r10, .register(Host.r10))
            let thunk = kind == .read ? thunks.read : kind == .write ? thunks.write : thunks.modify
            a.call(thunk[size > 8 ? 4 : size.trailingZeroBitCount])
            let bounced = kind == .read ? nil : a.jump(if: Condition.b)
            let emit = { [self] in
                if startPlace != .saved { a.restoreFlags(layout) } else { restore(restored) }
                body(.sum(Host.r10, Host.r11))
                finish?()
                if stackChange != 0 { a.lea(Host.esp, .at(Host.esp, stackChange)) }
            }
            let goOn = { [self] in
                if settled != 0 { a.lea(Host.esp, .at(Host.esp, 0 &- settled)) }
                a.jump(to: after)
            }
            emit()
            goOn()
            if let bounced {
                a.bind(bounced)
                emit()
                a.call(thunks.commit)
                goOn()
            }
        }
    }

    // The guest's ESP between pushes and pops: in the window their accesses need no current ESP, so its change is
    // summed up and made once. Everything else that looks at ESP, or might leave the block, settles it first.

    /// Makes the change of ESP that is pending. Keeps flags.
    func settleStack() {
        if stackDelta != 0 { a.lea(Host.esp, .at(Host.esp, stackDelta)) }
        stackDelta = 0
    }

    /// Whether instruction `k` can be carried out while a change of ESP is pending.
    func canDeferStack(_ k: Int) -> Bool {
        let i = instructions[k]
        guard usesWindow, NativeSupport.handles(i), canUseWindow(k) else { return false }
        let esp = UInt8(GPR.esp)
        func isESP(_ operand: Operand) -> Bool {
            operand.kind == .register && operand.size > 1 && operand.index == esp
        }
        guard !isESP(i.destination), !isESP(i.source), !isESP(i.third),
            i.segment != UInt8(SegmentIndex.fs), i.segment != UInt8(SegmentIndex.gs)
        else { return false }
        switch i.operation {
        case .push: return !i.destination.isMemory
        case .pop: return !i.destination.isMemory
        case .call, .ret: return true
        case .mov, .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc, .dec, .not, .neg, .shl, .shr,
            .sar,
            .rol, .ror, .movzx, .movsx, .imul2, .imul3, .cmov, .set, .lea:
            return true
        default: return false
        }
    }
}

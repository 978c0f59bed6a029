// SPDX-License-Identifier: Apache-2.0
//
// What single operations need around them to do something worth looking at: counts, pointers, return addresses,
// selectors, divisors.

import CHostOracle
import X86

extension Generator {
    /// Settles registers before operands are chosen.
    mutating func prepareOperation() {
        switch entry.operation {
        case .maskmov: prepareMaskedMove()
        case .movs, .cmps, .stos, .lods, .scas, .ins, .outs: prepareString()
        case .xlat:
            let linear = chooseTarget(1)
            target = linear
            let al = test.gpr[GPR.eax] & 0xFF
            pin(GPR.ebx, linear &- Subject.base(test.selectors[dataSegment]) &- al)
        case .jcxz, .loop, .loope, .loopne:
            if random.chance(70) { pin(GPR.ecx, random.pick([0, 1, 2, 0x10000, 0x10001, 0xFFFF_0000])) }
        case .leave, .enter:
            if random.chance(80) {
                pin(GPR.ebp, chooseTarget(4) &- Subject.base(test.selectors.ss))
            }
        case .div, .idiv:
            // High halves that do not overflow at once.
            if random.chance(60) {
                pin(
                    GPR.edx,
                    random.chance(50) ? 0 : UInt32(bitPattern: Int32(bitPattern: test.gpr[GPR.eax]) >> 31))
            }
            if random.chance(40) { pin(GPR.eax, test.gpr[GPR.eax] & 0xFF) }
        case .bt, .bts, .btr, .btc:
            // Offsets beyond the operand reach far; keep most of them inside the window.
            for register in 0..<8 where random.chance(75) && !pinned.contains(register) && isFirst {
                test.gpr[register] = UInt32(bitPattern: Int32(random.below(8192)) - 4096)
            }
        default: break
        }
    }

    private mutating func prepareString() {
        let size: UInt32 = entry.encoding.opcode & 1 == 0 ? 1 : operandSize
        let source = chooseTarget(Int(size)) &- Subject.base(test.selectors[dataSegment])
        let destination = chooseTarget(Int(size)) &- Subject.base(test.selectors.es)
        if isFirst {
            let high = addressSize == 2 && random.chance(50) ? random.word() & 0xFFFF_0000 : 0
            pin(GPR.esi, high | source)
            // Sometimes overlapping.
            pin(
                GPR.edi,
                random.chance(20) ? (high | source) &+ UInt32(random.below(17)) &- 8 : high | destination)
            // Zen 5 copies wrongly when a repeated MOVS with 16-bit addresses overlaps closely and the upper halves
            // of ESI and EDI are not zero.
            if addressSize == 2 && entry.operation == .movs {
                test.gpr[GPR.esi] &= 0xFFFF
                test.gpr[GPR.edi] &= 0xFFFF
            }
        }
        let count = random.chance(85) ? UInt32(random.below(40)) : random.value()
        pin(GPR.ecx, addressSize == 2 && random.chance(50) ? count & 0xFFFF | 0x10000 : count)
    }

    /// A register operand that has to hold something in particular.
    mutating func prepareRegisterOperand(_ modRM: UInt8) {
        guard isFirst else { return }
        let rm = Int(modRM & 7)
        switch entry.operation {
        case .movToSegment, .lar, .lsl, .verr, .verw, .arpl:
            test.gpr[rm] = test.gpr[rm] & 0xFFFF_0000 | UInt32(dataSelector())
        case .jmp, .call: test.gpr[rm] = codeTarget()
        case .cmpxchg where random.chance(40): test.gpr[rm] = test.gpr[GPR.eax]
        case .div, .idiv: if random.chance(50) { test.gpr[rm] &= 0xFFFF }
        default: break
        }
    }

    /// Puts into memory what the instruction is going to find there.
    mutating func finishOperation(_ bytes: [UInt8]) {
        guard isFirst else { return }
        if isFloating { return finishFloating() }
        let stack = test.gpr[GPR.esp] &+ Subject.base(test.selectors.ss)
        let size = operandSize
        switch entry.operation {
        case .ret: patch(stack, codeTarget())
        case .retFar:
            patch(stack &+ size, UInt32(codeSelector()))
            patch(stack, size == 2 ? codeTarget() & 0xFFFF | UInt32(codeSelector()) << 16 : codeTarget())
        case .iret:
            test.eflags &= ~EFLAGS.nt
            patch(stack &+ 2 * size, flagsImage())
            patch(stack &+ size, UInt32(codeSelector()))
            if size == 2 {
                patch(stack, codeTarget() & 0xFFFF | UInt32(codeSelector()) << 16)
            } else {
                patch(stack, codeTarget())
            }
        case .popf: patch(stack, flagsImage())
        case .popSegment: patch(stack, UInt32(dataSelector()) | random.word() << 16)
        default: finishMemory(size)
        }
    }

    private mutating func finishMemory(_ size: UInt32) {
        guard let target else { return }
        switch entry.operation {
        case .jmp, .call: patch(target, codeTarget())
        case .jmpFar, .callFar:
            patch(target &+ size, UInt32(codeSelector()))
            patch(target, size == 2 ? codeTarget() & 0xFFFF | UInt32(codeSelector()) << 16 : codeTarget())
        case .lds, .les, .lfs, .lgs, .lss:
            patch(target &+ size, UInt32(dataSelector()))
            if size == 2 { patch(target, random.word() & 0xFFFF | UInt32(dataSelector()) << 16) }
        case .movToSegment, .lar, .lsl, .verr, .verw, .arpl: patch(target, UInt32(dataSelector()))
        case .cmpxchg where random.chance(50): patch(target, test.gpr[GPR.eax])
        case .cmpxchg8b where random.chance(50):
            patch(target, test.gpr[GPR.eax])
            patch(target &+ 4, test.gpr[GPR.edx])
        case .div, .idiv: if random.chance(50) { patch(target, random.value() & 0xFFFF) }
        case .bound:
            patch(target, random.value())
            patch(target &+ size, random.value())
        default: break
        }
    }

    private mutating func flagsImage() -> UInt32 {
        var image = random.value()
        if random.chance(90) { image &= ~EFLAGS.tf }
        if random.chance(90) { image &= ~EFLAGS.ac }
        return image & ~(EFLAGS.nt | EFLAGS.vm)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Decimal adjustment (Intel SDM volume 2, DAA, DAS, AAA, AAS, AAM, AAD).

extension CPU {
    func executeDecimal(_ i: Instruction) throws(Fault) {
        switch i.operation {
        case .daa: adjustPacked(subtracting: false)
        case .das: adjustPacked(subtracting: true)
        case .aaa: adjustUnpacked(subtracting: false)
        case .aas: adjustUnpacked(subtracting: true)
        case .aam:
            let base = UInt8(truncatingIfNeeded: i.immediate)
            guard base != 0 else { throw .divideError }
            let al = self[r8: GPR.eax]
            self[r16: GPR.eax] = UInt16(al / base) << 8 | UInt16(al % base)
            setLogicFlags(self[r8: GPR.eax])
        default:
            let base = UInt8(truncatingIfNeeded: i.immediate)
            let ax = self[r16: GPR.eax]
            let product = UInt8(truncatingIfNeeded: ax >> 8) &* base
            let result = add(UInt8(truncatingIfNeeded: ax), product)
            self[r16: GPR.eax] = UInt16(result)
        }
    }

    private func adjustPacked(subtracting: Bool) {
        let old = self[r8: GPR.eax]
        let oldCarry = carry
        var al = old
        var cf = false
        let af = old & 15 > 9 || adjust
        if af {
            cf = oldCarry || (subtracting ? old < 6 : old > 0xF9)
            al = subtracting ? al &- 6 : al &+ 6
        }
        if old > 0x99 || oldCarry {
            al = subtracting ? al &- 0x60 : al &+ 0x60
            cf = true
        } else if !subtracting {
            cf = false
        }
        self[r8: GPR.eax] = al
        setFlags(result: al, carry: cf, overflow: false)
        if af { flagAux |= 8 }
    }

    private func adjustUnpacked(subtracting: Bool) {
        let ax = self[r16: GPR.eax]
        let needed = ax & 15 > 9 || adjust
        if needed {
            self[r16: GPR.eax] = subtracting ? ax &- 0x106 : ax &+ 0x106
        }
        self[r8: GPR.eax] &= 15
        setFlags(result: self[r8: GPR.eax], carry: needed, overflow: false)
        if needed { flagAux |= 8 }
    }
}

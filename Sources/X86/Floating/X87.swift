// SPDX-License-Identifier: Apache-2.0
//
// x87 instructions without a memory operand, and those with one that calculate or move numbers.
// Codes are octal digits as in opcode maps: opcode (D8 is 0) and ModRM.reg, then ModRM.rm for
// register forms.

extension CPU {
    func executeX87(_ i: Instruction) throws(Fault) {
        try requireX87()
        let code = Int(i.opcode & 7) << 6 | Int(i.modRM & 63)
        switch code {
        case 0o340, 0o341, 0o344:  // FENI, FDISI, FSETPM: of the 8087 and 80287, without effect
            return
        case 0o342:
            clearX87Exceptions()
            return
        case 0o343:
            initializeX87()
            return
        case 0o740:
            self[r16: GPR.eax] = fsw
            return
        default: break
        }
        try raisePending()
        notePointers(i)
        let opcode = i.opcode
        if (opcode == 0xDA || opcode == 0xDB) && i.modRM < 0xE0 {
            _ = hostX87(code, eflags: eflags)  // FCMOVcc
        } else if opcode == 0xDB || opcode == 0xDF && i.modRM >= 0xE8 {
            // FUCOMI(P), FCOMI(P): with #IA unmasked the flags come back as they went.
            setArithmeticFlags(hostX87(code, eflags: eflags))
        } else {
            hostX87(code)
        }
    }

    func executeX87Memory(_ i: Instruction) throws(Fault) {
        try requireX87()
        let code = Int(i.opcode & 7) << 3 | i.reg
        switch code {
        case 0o14: try executeFLDENV(i)
        case 0o15: try executeFLDCW(i)
        case 0o16: try executeFNSTENV(i)
        case 0o17: try storeWord(i, fcw)
        case 0o54: try executeFRSTOR(i)
        case 0o56: try executeFNSAVE(i)
        case 0o57: try storeWord(i, fsw)
        default: try executeX87Number(i, code)
        }
    }

    private func executeX87Number(_ i: Instruction, _ code: Int) throws(Fault) {
        try raisePending()
        let size = i.destination.size
        let stores = CPU.x87Stores >> UInt64(code) & 1 != 0
        let address = try operandAddress(i, size: UInt32(size), write: stores)
        if stores {
            // An 80-bit operand is to be aligned like one of 64 bits.
            if size == 10 { try probeWrite(address, 8) }
            try probeWrite(address, UInt32(size))
            noteDataPointers(i)
            let result = hostX87Memory(code, SIMD2(0, 0))
            // With an unmasked exception other than #P the operand is not stored.
            if fsw & ~fcw & 0x1F == 0 { try storeOperand(address, result, size: size) }
        } else {
            let operand = try loadOperand(address, size: size)
            noteDataPointers(i)
            _ = hostX87Memory(code, operand)
        }
    }

    /// Memory forms that store, as bits numbered by their codes: FST, FSTP, FIST, FISTP, FISTTP, FBSTP.
    private static let x87Stores: UInt64 =
        1 << 0o12 | 1 << 0o13 | 1 << 0o31 | 1 << 0o32 | 1 << 0o33 | 1 << 0o37
        | 1 << 0o51 | 1 << 0o52 | 1 << 0o53
        | 1 << 0o71 | 1 << 0o72 | 1 << 0o73 | 1 << 0o76 | 1 << 0o77

    private func storeWord(_ i: Instruction, _ value: UInt16) throws(Fault) {
        try store(try operandAddress(i, size: 2, write: true), value)
    }

    /// FOP, FIP and FCS of a non-control instruction, as the P6 family keeps them for every one.
    @inline(__always)
    func notePointers(_ i: Instruction) {
        fop = UInt16(i.opcode & 7) << 8 | UInt16(i.modRM)
        fip = eip
        fcs = self[segment: SegmentIndex.cs].selector
    }

    @inline(__always)
    private func noteDataPointers(_ i: Instruction) {
        notePointers(i)
        fdp = effectiveAddress(i)
        let segment = Int(i.segment) < SegmentIndex.flat ? Int(i.segment) : SegmentIndex.ds
        fds = self[segment: segment].selector
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// FXSAVE, FXRSTOR, LDMXCSR, STMXCSR. The guest's registers are kept in FXSAVE's own format, so
// that these are copies; what comes from memory is checked and put into canonical form.

extension CPU {
    /// Bits of MXCSR that exist, as FXSAVE tells in MXCSR_MASK.
    static let mxcsrMask: UInt32 = 0xFFFF
    /// 32 bytes of header, eight x87 and eight XMM registers, in 8-byte words; what follows in the
    /// 512 bytes is left alone.
    static let imageWords = 36

    private func fxAddress(_ i: Instruction, write: Bool) throws(Fault) -> UInt32 {
        try requireX87()
        let address = try operandAddress(i, size: 512, write: write)
        if address & 15 != 0 { throw .generalProtection() }
        return address
    }

    func executeFXSAVE(_ i: Instruction) throws(Fault) {
        let address = try fxAddress(i, write: true)
        if storeImage(address) { return }
        try probeWrite(address, 512)
        for word in 0..<CPU.imageWords {
            try store(address &+ UInt32(word) * 8, system.fpu.area[word])
        }
    }

    func executeFXRSTOR(_ i: Instruction) throws(Fault) {
        let address = try fxAddress(i, write: false)
        var words: InlineArray<36, UInt64>
        if let plain = loadImage(address) { words = plain } else { words = try imageWords(address) }
        guard words[3] & UInt64(~CPU.mxcsrMask) == 0 else { throw .generalProtection() }
        // Byte 5, the upper halves of the selectors and the register slots are reserved.
        let control = CPU.controlWord(UInt16(truncatingIfNeeded: words[0]))
        let status = CPU.statusWord(UInt16(truncatingIfNeeded: words[0] >> 16), control: control)
        words[0] = words[0] & 0x07FF_00FF_0000_0000 | UInt64(status) << 16 | UInt64(control)
        words[1] &= 0x0000_FFFF_FFFF_FFFF
        words[2] &= 0x0000_FFFF_FFFF_FFFF
        words[3] = words[3] & 0xFFFF | UInt64(CPU.mxcsrMask) << 32
        for register in 0..<8 { words[5 + register * 2] &= 0xFFFF }
        for word in 0..<CPU.imageWords { system.fpu.area[word] = words[word] }
    }

    private func imageWords(_ address: UInt32) throws(Fault) -> InlineArray<36, UInt64> {
        // The last byte first: a fault may not depend on how much of the operand we use.
        let _: UInt8 = try load(address &+ 511)
        var words = InlineArray<36, UInt64>(repeating: 0)
        for word in 0..<CPU.imageWords { words[word] = try load(address &+ UInt32(word) * 8) }
        return words
    }

    func executeMXCSR(_ i: Instruction) throws(Fault) {
        try requireSSE()
        let address = try operandAddress(i, size: 4, write: i.operation == .stmxcsr)
        if i.operation == .stmxcsr {
            try store(address, mxcsr)
            return
        }
        let value: UInt32 = try load(address)
        guard value & ~CPU.mxcsrMask == 0 else { throw .generalProtection() }
        mxcsr = value
    }
}

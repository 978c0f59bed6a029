// SPDX-License-Identifier: Apache-2.0
//
// x87 control instructions: the control word, the environment in its four formats (Intel SDM
// volume 1, 8.1.10) and the whole state.

/// Which registers exist physically does not change when the stack top does. The image numbers them
/// from the top, so whoever changes the top by hand has to move them.
extension CPU {
    var x87Top: Int { Int(fsw >> 11 & 7) }

    func setX87Top(_ top: Int) {
        let distance = (top - x87Top) & 7
        fsw = fsw & ~0x3800 | UInt16(top & 7) << 11
        guard distance != 0 else { return }
        var significands = InlineArray<8, UInt64>(repeating: 0)
        var exponents = InlineArray<8, UInt16>(repeating: 0)
        for index in 0..<8 {
            significands[index] = self[significand: index + distance]
            exponents[index] = self[exponent: index + distance]
        }
        for index in 0..<8 {
            self[significand: index] = significands[index]
            self[exponent: index] = exponents[index]
        }
    }

    /// Bits of the control word that exist; bit 6 is always one.
    static func controlWord(_ value: UInt16) -> UInt16 { value & 0x1F3F | 0x40 }

    /// The summary bits ES and B follow from the flags and their masks.
    static func statusWord(_ value: UInt16, control: UInt16) -> UInt16 {
        value & ~control & 0x3F != 0 ? value | 0x8080 : value & 0x7F7F
    }

    /// FNINIT.
    func initializeX87() {
        setX87Top(0)
        fcw = 0x037F
        fsw = 0
        ftw = 0
        fop = 0
        fip = 0
        fcs = 0
        fdp = 0
        fds = 0
    }

    /// FNCLEX: the flags, SF, ES and B.
    func clearX87Exceptions() { fsw &= 0x7F00 }

    func executeFLDCW(_ i: Instruction) throws(Fault) {
        try raisePending()
        let value: UInt16 = try load(try operandAddress(i, size: 2, write: false))
        fcw = CPU.controlWord(value)
        fsw = CPU.statusWord(fsw, control: fcw)
    }

    // FNSTENV, FLDENV

    private func environmentSize(_ i: Instruction) -> UInt32 { i.operandSize == 2 ? 14 : 28 }

    /// The first word for itself: its alignment is checked, and before any page fault.
    private func probeWords(_ i: Instruction, _ address: UInt32, _ size: UInt32) throws(Fault) {
        try probeWrite(address, i.operandSize == 2 ? 2 : 4)
        try probeWrite(address, size)
    }

    func executeFNSTENV(_ i: Instruction) throws(Fault) {
        let size = environmentSize(i)
        let address = try operandAddress(i, size: size, write: true)
        try probeWords(i, address, size)
        try storeEnvironment(i, address)
        fcw |= 0x3F
        fsw &= 0x7F7F
    }

    func executeFLDENV(_ i: Instruction) throws(Fault) {
        try raisePending()
        let address = try operandAddress(i, size: environmentSize(i), write: false)
        let environment = try loadEnvironment(i, address)
        acceptEnvironment(environment)
    }

    // FNSAVE, FRSTOR: the environment, then ST(0) to ST(7), ten bytes each. Alignment is checked as for the
    // environment's words (Intel SDM volume 3, table 7-7), so that the registers go two bytes at a time.

    func executeFNSAVE(_ i: Instruction) throws(Fault) {
        let size = environmentSize(i)
        let address = try operandAddress(i, size: size + 80, write: true)
        try probeWords(i, address, size + 80)
        try storeEnvironment(i, address)
        for index in 0..<8 {
            let slot = address &+ size &+ UInt32(index) * 10
            let significand = self[significand: index]
            for part in 0..<4 as Range<UInt32> {
                try store(slot &+ part * 2, UInt16(truncatingIfNeeded: significand >> UInt64(part * 16)))
            }
            try store(slot &+ 8, self[exponent: index])
        }
        initializeX87()
    }

    func executeFRSTOR(_ i: Instruction) throws(Fault) {
        try raisePending()
        let size = environmentSize(i)
        let address = try operandAddress(i, size: size + 80, write: false)
        let environment = try loadEnvironment(i, address)
        var significands = InlineArray<8, UInt64>(repeating: 0)
        var exponents = InlineArray<8, UInt16>(repeating: 0)
        for index in 0..<8 {
            let slot = address &+ size &+ UInt32(index) * 10
            for part in 0..<4 as Range<UInt32> {
                let word: UInt16 = try load(slot &+ part * 2)
                significands[index] |= UInt64(word) << UInt64(part * 16)
            }
            exponents[index] = try load(slot &+ 8)
        }
        acceptEnvironment(environment)
        for index in 0..<8 {
            self[significand: index] = significands[index]
            self[exponent: index] = exponents[index]
        }
    }

    // The environment in memory: seven words or doublewords

    private typealias Environment = InlineArray<7, UInt32>

    /// Real-address and virtual-8086 mode keep linear addresses instead of selectors.
    private var hasLinearPointers: Bool {
        system.cr0 & ControlBits.pe == 0 || eflagsOther & EFLAGS.vm != 0
    }

    private func storeEnvironment(_ i: Instruction, _ address: UInt32) throws(Fault) {
        let wide = i.operandSize != 2
        var words: Environment = [
            UInt32(fcw), UInt32(fsw), UInt32(fullTagWord), fip, UInt32(fcs), fdp, UInt32(fds),
        ]
        if hasLinearPointers {
            let code = fip &+ UInt32(fcs) << 4
            let data = fdp &+ UInt32(fds) << 4
            let mask: UInt32 = wide ? 0x0FFF_F000 : 0xF000
            words[3] = code & 0xFFFF
            words[4] = code >> 4 & mask | UInt32(fop)
            words[5] = data & 0xFFFF
            words[6] = data >> 4 & mask
        } else if wide {
            words[4] |= UInt32(fop) << 16
        }
        if wide {
            // Unused halves read as ones, but for the doublewords that hold addresses.
            for index in 0..<3 { words[index] |= 0xFFFF_0000 }
            if hasLinearPointers {
                words[3] |= 0xFFFF_0000
                words[5] |= 0xFFFF_0000
            } else {
                words[6] |= 0xFFFF_0000
            }
        }
        for index in 0..<7 {
            if wide {
                try store(address &+ UInt32(index) * 4, words[index])
            } else {
                try store(address &+ UInt32(index) * 2, UInt16(truncatingIfNeeded: words[index]))
            }
        }
    }

    private func loadEnvironment(_ i: Instruction, _ address: UInt32) throws(Fault) -> Environment {
        var words = Environment(repeating: 0)
        for index in 0..<7 {
            if i.operandSize != 2 {
                words[index] = try load(address &+ UInt32(index) * 4)
            } else {
                words[index] = UInt32(try load(address &+ UInt32(index) * 2, as: UInt16.self))
            }
        }
        if hasLinearPointers {
            let (code, data) = (words[4], words[6])
            words[3] = words[3] & 0xFFFF | (code & 0x0FFF_F000) << 4
            words[5] = words[5] & 0xFFFF | (data & 0x0FFF_F000) << 4
            words[4] = (code & 0x7FF) << 16
            words[6] = 0
        } else if i.operandSize == 2 {
            words[4] |= UInt32(fop) << 16  // this format has no place for it
        }
        return words
    }

    private func acceptEnvironment(_ words: Environment) {
        fcw = CPU.controlWord(UInt16(truncatingIfNeeded: words[0]))
        setX87Top(Int(words[1] >> 11 & 7))
        fsw = CPU.statusWord(UInt16(truncatingIfNeeded: words[1]), control: fcw)
        var tags: UInt8 = 0
        for register in 0..<8 where words[2] >> UInt32(register * 2) & 3 != 3 { tags |= 1 << UInt8(register) }
        ftw = tags
        fip = words[3]
        fcs = UInt16(truncatingIfNeeded: words[4])
        fop = UInt16(truncatingIfNeeded: words[4] >> 16) & 0x7FF
        fdp = words[5]
        fds = UInt16(truncatingIfNeeded: words[6])
    }

    /// The tag word in its long form, two bits for each physical register.
    var fullTagWord: UInt16 {
        var word: UInt16 = 0
        for register in 0..<8 {
            let tag = ftw >> UInt8(register) & 1 == 0 ? 3 : tag(of: register - x87Top)
            word |= tag << UInt16(register * 2)
        }
        return word
    }

    /// 0 valid, 1 zero, 2 special.
    private func tag(of index: Int) -> UInt16 {
        switch self[exponent: index] & 0x7FFF {
        case 0x7FFF: 2
        case 0: self[significand: index] == 0 ? 1 : 2
        default: self[significand: index] >> 63 != 0 ? 0 : 2
        }
    }
}

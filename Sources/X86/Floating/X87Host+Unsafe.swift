// SPDX-License-Identifier: Apache-2.0
//
// The three ways to the host's x87 unit.

import CHost

// SAFETY of all three: `fpuArea` is a complete FXSAVE image of the guest that nobody else uses
// during the call; the C side reads and writes the first 160 bytes only, and masks `code`.
extension CPU {
    /// Opcode `D8 + (code >> 6)`, ModRM `C0 + (code & 63)`. No exception may be pending.
    func hostX87(_ code: Int) {
        lguest_x87_register(fpuArea, UInt32(code))
    }

    /// The same with EFLAGS going in and out.
    func hostX87(_ code: Int, eflags: UInt32) -> UInt32 {
        lguest_x87_register_flags(fpuArea, UInt32(code), eflags)
    }

    /// Opcode `D8 + (code >> 3)`, ModRM.reg `code & 7`; returns the memory operand afterwards.
    func hostX87Memory(_ code: Int, _ operand: SIMD2<UInt64>) -> SIMD2<UInt64> {
        lguest_x87_memory(fpuArea, UInt32(code), operand)
    }
}

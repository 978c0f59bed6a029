// SPDX-License-Identifier: Apache-2.0
//
// Non-maskable interrupts, which somebody sends from outside (`lguest monitor NAME nmi`). In the ABI vector 2 is the
// host's own (ABI 5.1), but guests store a gate for it all the same; it is kept aside, and used for these.

import X86

extension LguestInterface {
    public func canTakeNMI(_ cpu: CPU) -> Bool { nonMaskableGate != 0 }

    public func raiseNMI(_ cpu: CPU) throws(GuestDeath) {
        guard nonMaskableGate != 0 else { return }
        isHalted = false
        // For this delivery only: whatever the guest does itself with vector 2 finds no gate.
        idt[Int(Vector.nonMaskable)] = nonMaskableGate
        defer { idt[Int(Vector.nonMaskable)] = 0 }
        try reflect(Vector.nonMaskable, errorCode: nil, cpu)
    }

    /// Takes note of a gate as LOAD_IDT_ENTRY gave it, if it is one that can be entered.
    func keepNonMaskableGate(_ low: UInt32, _ high: UInt32) {
        let isPresent = high & 0x8000 != 0
        let type = high >> 8 & 0xF
        nonMaskableGate = isPresent && (type == 0xE || type == 0xF) ? UInt64(high) << 32 | UInt64(low) : 0
    }
}

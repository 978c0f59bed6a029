// SPDX-License-Identifier: Apache-2.0
//
// SIMD floating-point exceptions (Intel SDM volume 1, 11.5 and appendix E). Unlike x87's they are
// raised by the instruction itself. On the host they are always masked; what an unmasked
// exception would have done is worked out here.

/// Bits of MXCSR.
enum MXCSR {
    static let flags: UInt32 = 0x3F
    static let masks: UInt32 = 0x1F80
    /// IE, DE, ZE: found before the operation, which then does not happen.
    static let early: UInt32 = 0x07
    static let underflow: UInt32 = 0x10
    static let underflowMask: UInt32 = 0x800
    static let flushToZero: UInt32 = 0x8000
}

extension CPU {
    /// Runs `operation` under the guest's MXCSR with everything masked and takes over the flags
    /// that it raises. Throws #XM when the guest has one of them unmasked.
    @inline(__always)
    func numeric<Result>(_ operation: (inout UInt32) -> Result) throws(Fault) -> Result {
        let control = mxcsr
        var status = control & ~MXCSR.flags | MXCSR.masks
        let result = operation(&status)
        if control & MXCSR.masks != MXCSR.masks {
            try raiseUnmasked(control, status & MXCSR.flags) { flushed in
                _ = operation(&flushed)
            }
        } else {
            mxcsr = control | status & MXCSR.flags
        }
        return result
    }

    @inline(never)
    private func raiseUnmasked(
        _ control: UInt32, _ masked: UInt32, _ again: (inout UInt32) -> Void
    ) throws(Fault) {
        var raised = masked
        if control & MXCSR.underflowMask == 0 {
            // Unmasked, a tiny result raises #U even if it is exact; masked, only if it is not. With
            // flush-to-zero every tiny result shows.
            var flushed = control & ~MXCSR.flags | MXCSR.masks | MXCSR.flushToZero
            again(&flushed)
            raised |= flushed & MXCSR.underflow
        }
        let unmasked = ~(control >> 7) & MXCSR.flags
        if raised & unmasked & MXCSR.early != 0 { raised &= MXCSR.early }
        mxcsr = control | raised
        guard raised & unmasked == 0 else {
            throw system.cr4 & ControlBits.osxmmexcpt != 0
                ? Fault(vector: Vector.simdFloatingPoint) : .invalidOpcode
        }
    }
}

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
    static let overflow: UInt32 = 0x08
    static let underflow: UInt32 = 0x10
    static let precision: UInt32 = 0x20
    static let flushToZero: UInt32 = 0x8000
}

extension CPU {
    /// Runs `operation` under the guest's MXCSR with everything masked and takes over the flags
    /// that it raises. Throws #XM when the guest has one of them unmasked.
    @inline(__always)
    func numeric<Result>(_ operation: (inout UInt32) -> Result) throws(Fault) -> Result {
        try numeric(operation, isInexact: { nil })
    }

    /// The same for operations whose results can be out of range. `isInexact`: whether the result
    /// had to be rounded, were its exponent unbounded; nil for those that cannot.
    @inline(__always)
    func numeric<Result>(
        _ operation: (inout UInt32) -> Result, isInexact: () -> Bool?
    ) throws(Fault) -> Result {
        let control = mxcsr
        if control & MXCSR.masks == MXCSR.masks {
            var status = control
            let result = operation(&status)
            mxcsr = status
            return result
        }
        var result: Result?
        try raiseUnmasked(control, { result = operation(&$0) }, isInexact)
        guard let result else { throw .invalidOpcode }  // cannot be: it has run
        return result
    }

    @inline(never)
    private func raiseUnmasked(
        _ control: UInt32, _ operation: (inout UInt32) -> Void, _ isInexact: () -> Bool?
    ) throws(Fault) {
        let unmasked = ~(control >> 7) & MXCSR.flags
        let underflows = unmasked & MXCSR.underflow != 0
        let clean = control & ~MXCSR.flags | MXCSR.masks
        var tiny: UInt32 = 0
        if underflows {
            // Unmasked, a tiny result raises #U even if it is exact; masked, only if it is not. With
            // flush-to-zero every tiny result shows.
            var flushed = clean | MXCSR.flushToZero
            operation(&flushed)
            tiny = flushed & MXCSR.underflow
        }
        // Flush-to-zero has no effect while underflow is unmasked.
        var status = underflows ? clean & ~MXCSR.flushToZero : clean
        operation(&status)
        var raised = status & MXCSR.flags | tiny
        let range = raised & (MXCSR.overflow | MXCSR.underflow)
        if range & unmasked != 0, range & ~unmasked == 0, isInexact() == false {
            // What is lost by an exponent out of range does not count: the handler gets to scale it.
            raised &= ~MXCSR.precision
        }
        if raised & unmasked & MXCSR.early != 0 { raised &= MXCSR.early }
        mxcsr = control | raised
        guard raised & unmasked == 0 else {
            throw system.cr4 & ControlBits.osxmmexcpt != 0
                ? Fault(vector: Vector.simdFloatingPoint) : .invalidOpcode
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The stack of generated code: guesses where the guest's RETs will go (see `Thunks`). Below it lies a page that
// cannot be reached, above its base some entries that no RET is content with.

import CHost

final class CodeStack {
    static let bytes = 128 << 10
    /// Room below the stack pointer that a call must find: for thunks and for signal handlers.
    static let reserve = 32 << 10
    private static let entriesAbove = 16

    private let low: UnsafeMutableRawPointer
    var base: UInt { UInt(bitPattern: low) &+ UInt(CodeStack.bytes - 16 * CodeStack.entriesAbove) }
    /// Below this there would be little room for the kernel's calls behind those of user code.
    var lowestKernelBase: UInt { UInt(bitPattern: low) &+ UInt(CodeStack.bytes / 2) }
    var guardPage: UInt { UInt(bitPattern: low) &- 4096 }

    /// `reset` is the address where a RET goes that comes to the base.
    init(reset: UInt) throws(HostDenial) {
        guard let low = lguest_code_stack_map(CodeStack.bytes) else { throw HostDenial(errno: 12) }
        self.low = low
        for entry in 0..<CodeStack.entriesAbove {
            // SAFETY: the entries end where the stack does.
            let at = low + (CodeStack.bytes - 16 * (entry + 1))
            at.storeBytes(of: reset, as: UInt.self)
            (at + 8).storeBytes(of: UInt.max, as: UInt.self)
        }
    }

    // SAFETY: made by `init`; generated code does not run any more.
    deinit { lguest_code_stack_unmap(low, CodeStack.bytes) }
}

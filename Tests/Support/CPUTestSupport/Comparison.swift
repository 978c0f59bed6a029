// SPDX-License-Identifier: Apache-2.0
//
// When two outcomes are the same. What a processor may do as it likes is written down here, one rule each.

import X86

public enum Comparison {
    /// EFLAGS bits that are compared: all but RF, which tells how the state was saved, and the reserved ones.
    static let compared = EFLAGS.all & ~EFLAGS.rf

    /// Bytes of FXSAVE images that are compared. Not FOP, FIP, FCS, FDP and FDS (6 to 23): the host's image is in the
    /// 64-bit format, which has no selectors, and AMD sets the rest under other conditions than Intel. Not MXCSR_MASK
    /// (28 to 31), where AMD has bit 17 (MM). Not XMM8 to XMM15, which a 32-bit program does not have.
    static let comparedImage = Array(0..<6) + Array(24..<28) + Array(32..<288)

    public static func differences(
        _ host: Outcome, _ ours: Outcome, undefined: UInt32, last: Operation, inParts: Bool = false
    ) -> [String] {
        if differsInOrder(host, ours, last) || hasMisalignedMode(host, ours, last) { return [] }
        var found: [String] = []
        let names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        if host.trap != ours.trap || host.errorCode != ours.errorCode || host.address != ours.address,
            !inParts || !isAccess(host.trap) || !isAccess(ours.trap)
        {
            found.append("exception")
        }
        // AMD writes what POPA has popped before a later element faults; ESP stays, so it can be done again.
        let partial = host.trap != nil && last == .popa
        for n in 0..<8 where host.gpr[n] != ours.gpr[n] && (!partial || n == GPR.esp) {
            found.append(names[n])
        }
        if (host.eflags ^ ours.eflags) & compared & ~undefined != 0 { found.append("eflags") }
        if host.eip != ours.eip { found.append("eip") }
        // The host forgets the privilege bits of a null selector when it takes a signal.
        for (a, b) in zip(host.selectors.list, ours.selectors.list) where a != b && (a | b) & 0xFFFC != 0 {
            found.append("selectors")
            break
        }
        // AMD pushes the return address of a call before it checks the target, Intel after.
        let mayHavePushed = [.call, .callFar].contains(last) && host.trap == Vector.generalProtection
        if host.windowHash != ours.windowHash && !mayHavePushed { found.append("memory") }
        if let a = host.fpu, let b = ours.fpu, comparedImage.contains(where: { a[$0] != b[$0] }) {
            found.append("fpu")
        }
        return found
    }

    /// FNSAVE and the like, and 80-bit operands, at the end of a segment or page: AMD goes word by word, cuts each
    /// offset to 16 bits where addresses have as many, and tells any of the words that cannot be reached; ours checks
    /// the whole operand first, and tells the first.
    private static func isAccess(_ trap: UInt8?) -> Bool {
        [Vector.pageFault, Vector.generalProtection, Vector.stackFault].contains(trap)
    }

    /// LDMXCSR and FXRSTOR: AMD accepts bit 17 of MXCSR (MM), for Intel it is reserved.
    private static func hasMisalignedMode(_ host: Outcome, _ ours: Outcome, _ last: Operation) -> Bool {
        guard [.ldmxcsr, .fxrstor].contains(last), let image = host.fpu else { return false }
        return ours.trap == Vector.generalProtection && image[26] & 2 != 0
    }

    /// A far return whose CS names another privilege level: AMD reads the outer stack pointer before it checks the
    /// selector, Intel checks first. A call: AMD pushes before it checks the target. One of two faults comes first.
    /// Vectors in the stack segment: AMD checks alignment before the limit.
    private static func differsInOrder(_ host: Outcome, _ ours: Outcome, _ last: Operation) -> Bool {
        if Exclusions.isFloating(last) && host.trap == Vector.generalProtection
            && ours.trap == Vector.stackFault
        {
            return true
        }
        // CMPS with both operands out of reach: some processors look at the second one first.
        if last == .cmps, let a = host.trap, isAccess(ours.trap) || ours.trap == Vector.alignmentCheck,
            host.gpr == ours.gpr,
            host.eip == ours.eip,
            isAccess(a) || a == Vector.alignmentCheck
        {
            return true
        }
        guard [.retFar, .iret, .call, .callFar].contains(last), let a = host.trap, let b = ours.trap else {
            return false
        }
        return b == Vector.generalProtection
            && [Vector.pageFault, Vector.alignmentCheck, Vector.stackFault].contains(a)
    }
}

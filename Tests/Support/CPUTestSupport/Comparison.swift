// SPDX-License-Identifier: Apache-2.0
//
// When two outcomes are the same. What a processor may do as it likes is written down here, one rule each.

import X86

public enum Comparison {
    /// EFLAGS bits that are compared: all but RF, which tells how the state was saved, and the reserved ones.
    static let compared = EFLAGS.all & ~EFLAGS.rf

    public static func differences(
        _ host: Outcome, _ ours: Outcome, undefined: UInt32, last: Operation
    ) -> [String] {
        if differsInOrder(host, ours, last) { return [] }
        var found: [String] = []
        let names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        if host.trap != ours.trap || host.errorCode != ours.errorCode || host.address != ours.address {
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
        if let a = host.fpu, let b = ours.fpu, a[..<416] != b[..<416] { found.append("fpu") }
        return found
    }

    /// A far return whose CS names another privilege level: AMD reads the outer stack pointer before it checks the
    /// selector, Intel checks first. A call: AMD pushes before it checks the target. One of two faults comes first.
    private static func differsInOrder(_ host: Outcome, _ ours: Outcome, _ last: Operation) -> Bool {
        guard [.retFar, .iret, .call, .callFar].contains(last), let a = host.trap, let b = ours.trap else {
            return false
        }
        return b == Vector.generalProtection
            && [Vector.pageFault, Vector.alignmentCheck, Vector.stackFault].contains(a)
    }
}

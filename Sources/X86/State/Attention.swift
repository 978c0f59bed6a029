// SPDX-License-Identifier: Apache-2.0

/// Reasons for the engine to stop at the next block boundary; bits of `CPU.attention`.
public enum Attention {
    /// An interrupt may be deliverable.
    public static let interrupt: UInt32 = 1
    /// EFLAGS.TF is set: run one instruction, then raise #DB.
    public static let singleStep: UInt32 = 2
    /// The machine wants control back.
    public static let stop: UInt32 = 4
    /// A debug register enables a breakpoint: one instruction at a time, with a look before and after each.
    public static let breakpoints: UInt32 = 8
}

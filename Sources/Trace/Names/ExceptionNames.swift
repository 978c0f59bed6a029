// SPDX-License-Identifier: Apache-2.0

/// The processor's exceptions by vector (Intel SDM volume 3, table 6-1).
public enum ExceptionNames {
    private static let names = [
        "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode",
        "device not available", "double fault", "coprocessor overrun", "invalid TSS", "segment not present",
        "stack fault", "general protection", "page fault", "spurious", "x87 error", "alignment check",
        "machine check", "SIMD error",
    ]

    /// The name of an exception; nil for other vectors.
    public static func name(_ vector: UInt32) -> String? {
        vector < names.count ? names[Int(vector)] : nil
    }
}

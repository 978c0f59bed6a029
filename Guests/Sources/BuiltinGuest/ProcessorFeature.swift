// SPDX-License-Identifier: Apache-2.0
//
// Names of the feature bits in CPUID leaf 1, register EDX, as far as anybody asks here.

enum ProcessorFeature {
    static let fpu: UInt32 = 0
    static let timeStampCounter: UInt32 = 4
    static let physicalExtension: UInt32 = 6
    static let compareExchange8: UInt32 = 8
    static let interruptController: UInt32 = 9
    static let sysenter: UInt32 = 11
    static let conditionalMove: UInt32 = 15
    static let fxsave: UInt32 = 24
    static let sse: UInt32 = 25

    /// Calls `body` for each known bit.
    static func forEach(_ body: (UInt32, StaticString) -> Void) {
        body(0, "fpu")
        body(3, "pse")
        body(4, "tsc")
        body(5, "msr")
        body(6, "pae")
        body(8, "cx8")
        body(9, "apic")
        body(11, "sep")
        body(13, "pge")
        body(15, "cmov")
        body(23, "mmx")
        body(24, "fxsr")
        body(25, "sse")
        body(26, "sse2")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What CPUID says: only what works, and nothing that sends a kernel into code for one maker's
// processors (docs: lguest ABI 11.2). A vendor of our own would be the honest choice, but kernels then
// warn that the system may be unstable, and GCC's `__builtin_cpu_supports` finds no features at all. So
// the vendor is AMD's, with a family and model (6, which an lguest kernel makes 5; model 3) for which no
// kernel has special code, below those that the early microcode loader looks for. The hypervisor bit
// and the brand string say what the processor really is.

import X86

enum CPUIDProfile {
    static let vendor = "AuthenticAMD"
    static let hypervisor = "lguestSwift\0"
    static let brand = "lguest virtual processor, i686 with SSE2"

    /// Family 6, model 3, stepping 0: a plain P6.
    private static let signature: UInt32 = 0x0000_0630

    // Leaf 1, EDX (Intel SDM volume 2, table 3-11).
    private static let fpu: UInt32 = 1 << 0
    private static let tsc: UInt32 = 1 << 4
    private static let msr: UInt32 = 1 << 5
    private static let pae: UInt32 = 1 << 6
    private static let cx8: UInt32 = 1 << 8
    private static let cmov: UInt32 = 1 << 15
    private static let mmx: UInt32 = 1 << 23
    private static let fxsr: UInt32 = 1 << 24
    private static let sse: UInt32 = 1 << 25
    private static let sse2: UInt32 = 1 << 26
    // Leaf 1, ECX.
    private static let underHypervisor: UInt32 = 1 << 31

    static func result(leaf: UInt32) -> CPUIDResult {
        switch leaf {
        case 0:
            let words = CPUIDResult.words(vendor, 3)
            return CPUIDResult(eax: 1, ebx: words[0], ecx: words[2], edx: words[1])
        case 1:
            return CPUIDResult(
                eax: signature, ebx: 0, ecx: underHypervisor,
                edx: fpu | tsc | pae | cx8 | cmov | mmx | fxsr | sse | sse2)
        case 0x4000_0000:
            let words = CPUIDResult.words(hypervisor, 3)
            return CPUIDResult(eax: 0x4000_0000, ebx: words[0], ecx: words[1], edx: words[2])
        case 0x8000_0000: return CPUIDResult(eax: 0x8000_0006)
        case 0x8000_0001: return CPUIDResult()
        case 0x8000_0002...0x8000_0004:
            let words = CPUIDResult.words(brand, 12)
            let first = Int(leaf - 0x8000_0002) * 4
            return CPUIDResult(
                eax: words[first], ebx: words[first + 1], ecx: words[first + 2], edx: words[first + 3])
        // Caches, from which C libraries choose how to copy memory: 32 KiB of L1, 8 ways, and 512 KiB of L2,
        // 8 ways, in lines of 64 bytes.
        case 0x8000_0005: return CPUIDResult(ecx: 0x2008_0140, edx: 0x2008_0140)
        case 0x8000_0006: return CPUIDResult(ecx: 0x0200_6140)
        // Out of range: as AMD's processors, all zero.
        default: return CPUIDResult()
        }
    }
}

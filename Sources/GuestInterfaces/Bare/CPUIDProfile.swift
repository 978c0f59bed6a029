// SPDX-License-Identifier: Apache-2.0
//
// What CPUID says to a stock kernel: only what works. The maker and model are those of Intel's Atom 230, an
// in-order processor that does not speculate: kernels know it as not vulnerable to the attacks that begin with
// Spectre, and spend nothing on defences that an emulated processor, which never speculates either, does not need.
// Its stepping is the last one, so that no kernel works around errors of the earlier ones.

import X86

enum BareCPUID {
    static let vendor = "GenuineIntel"
    static let hypervisor = "KVMKVMKVM\0\0\0"
    static let brand = "lguest virtual processor, i686 with SSE2"

    /// Family 6, model 0x1C, stepping 10 (SDM volume 2, CPUID, figure 3-6).
    private static let signature: UInt32 = 0x0001_06CA

    /// Leaf 1, EDX: FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP PGE MCA CMOV CLFSH MMX FXSR SSE SSE2 (table 3-11). Of machine
    /// checks there is all but the banks that could report one: without the feature kernels complain.
    private static let features: UInt32 = [
        0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 19, 23, 24, 25, 26,
    ]
    .reduce(0) { (sum: UInt32, bit: UInt32) in sum | 1 << bit }
    /// Leaf 1, ECX: the local APIC's timer takes deadlines; there is a hypervisor.
    private static let extendedFeatures: UInt32 = 1 << 24 | 1 << 31
    /// Leaf 1, EBX: CLFLUSH works on lines of 64 bytes; one logical processor.
    private static let misc: UInt32 = 8 << 8 | 1 << 16

    /// KVM leaf 0x40000001: no I/O delays, the new clock registers, steal time; and the clock is stable.
    private static let paravirtual: UInt32 = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 24

    static func result(leaf: UInt32, subleaf: UInt32) -> CPUIDResult {
        switch leaf {
        case 0:
            let words = CPUIDResult.words(vendor, 3)
            return CPUIDResult(eax: 0x16, ebx: words[0], ecx: words[2], edx: words[1])
        case 1:
            return CPUIDResult(eax: signature, ebx: misc, ecx: extendedFeatures, edx: features)
        // Caches (table 3-12): 0x2C 32 KiB of L1 data, 0x30 32 KiB of L1 code, 0x7D 2 MiB of L2.
        case 2: return CPUIDResult(eax: 0x0000_0001, edx: 0x007D_302C)
        case 6: return CPUIDResult(eax: 1 << 2)  // the local APIC's timer never stops
        // The counter's frequency as a ratio to a crystal of 25 MHz, and in MHz.
        case 0x15: return CPUIDResult(eax: 1, ebx: 40, ecx: 25_000_000)
        case 0x16: return CPUIDResult(eax: 1000, ebx: 1000, ecx: 25)
        case 0x4000_0000:
            let words = CPUIDResult.words(hypervisor, 3)
            return CPUIDResult(eax: 0x4000_0001, ebx: words[0], ecx: words[1], edx: words[2])
        case 0x4000_0001: return CPUIDResult(eax: paravirtual)
        case 0x8000_0000: return CPUIDResult(eax: 0x8000_0008)
        case 0x8000_0001: return CPUIDResult(edx: 1 << 20)  // no-execute
        case 0x8000_0002...0x8000_0004:
            let words = CPUIDResult.words(brand, 12)
            let first = Int(leaf - 0x8000_0002) * 4
            return CPUIDResult(
                eax: words[first], ebx: words[first + 1], ecx: words[first + 2], edx: words[first + 3])
        // L2: 512 KiB, 8 ways, lines of 64 bytes.
        case 0x8000_0006: return CPUIDResult(ecx: 0x0200_6040)
        case 0x8000_0007: return CPUIDResult(edx: 1 << 8)  // the time-stamp counter never changes its pace
        case 0x8000_0008: return CPUIDResult(eax: 0x2024)  // 36 physical, 32 linear address bits
        default: return CPUIDResult()
        }
    }
}

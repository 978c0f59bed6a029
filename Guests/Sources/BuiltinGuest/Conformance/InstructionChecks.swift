// SPDX-License-Identifier: Apache-2.0
//
// Instructions that the hypervisor carries out or answers itself: ports, `cli`, `hlt`, `cpuid`, `rdtsc`.
import Machine

enum InstructionChecks {
    static func run() {
        ports()
        interruptFlag()
        processor()
        timeStampCounter()
    }

    /// Ports without a device read as ones, and only as wide as asked.
    private static func ports() {
        let before: UInt32 = 0x1234_5678
        Check.equal("port/read-byte", instruction_in8(0x1234, before), 0x1234_56FF)
        Check.equal("port/read-half", instruction_in16(0x1234, before), 0x1234_FFFF)
        Check.equal("port/read-word", instruction_in32(0x1234, before), 0xFFFF_FFFF)
        Check.equal("port/keyboard-controller", instruction_in8(0x64, before), 0x1234_5601)
        Check.equal("port/immediate-form", instruction_in8_0x64(before), 0x1234_5601)
        instruction_out8(0x1234, 1)
        instruction_out16(0x1234, 2)
        instruction_out32(0x1234, 3)
        Check.that("port/writes-ignored", true)
    }

    /// CLI does nothing and does not trap: the virtual flag is a word in memory.
    private static func interruptFlag() {
        let outcome = Probe.run(probe_cli)
        Check.result("instruction/cli-skipped", outcome, 0)
        Check.equal("instruction/cli-leaves-virtual-flag", SharedPage.irqEnabled & 0x200, 0x200)
        Check.equal("instruction/pushf-shows-real-flag", instruction_eflags() & 0x3200, 0x200)
        Interrupts.disable()
        let flags = instruction_eflags()
        Interrupts.enable()
        Check.equal("instruction/pushf-ignores-virtual-flag", flags & 0x3200, 0x200)
    }

    private static func processor() {
        let vendor = instruction_cpuid(0)
        Check.that("cpuid/leaf-1-exists", vendor.eax >= 1, "highest leaf \(hex: vendor.eax)")
        Check.that("cpuid/vendor-named", vendor.ebx != 0)
        let leaf = instruction_cpuid(1)
        has("cpuid/fpu", leaf, ProcessorFeature.fpu, true)
        has("cpuid/tsc", leaf, ProcessorFeature.timeStampCounter, true)
        has("cpuid/cmpxchg8b", leaf, ProcessorFeature.compareExchange8, true)
        has("cpuid/cmov", leaf, ProcessorFeature.conditionalMove, true)
        has("cpuid/no-apic", leaf, ProcessorFeature.interruptController, false)
        has("cpuid/no-sysenter", leaf, ProcessorFeature.sysenter, false)
        Check.that("cpuid/hypervisor-bit", leaf.ecx & 1 << 31 != 0, "ECX \(hex: leaf.ecx)")
        let sse = leaf.edx & 1 << ProcessorFeature.sse != 0
        let fxsave = leaf.edx & 1 << ProcessorFeature.fxsave != 0
        Check.that("cpuid/sse-implies-fxsave", !sse || fxsave)
        if PagingMode.current == .physicalExtension {
            has("cpuid/pae", leaf, ProcessorFeature.physicalExtension, true)
        }
    }

    private static func has(_ name: StaticString, _ leaf: cpuid_result, _ bit: UInt32, _ expected: Bool) {
        Check.that(name, (leaf.edx & 1 << bit != 0) == expected, "EDX \(hex: leaf.edx)")
    }

    private static func timeStampCounter() {
        var last = Timer.now
        var backwards: UInt32 = 0
        for _ in 0..<2000 {
            let now = Timer.now
            if now < last { backwards += 1 }
            last = now
        }
        Check.equal("tsc/never-goes-back", backwards, 0)
    }
}

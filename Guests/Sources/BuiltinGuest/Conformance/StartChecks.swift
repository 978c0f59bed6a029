// SPDX-License-Identifier: Apache-2.0
//
// The boot protocol: what the loader wrote, what the registers held at the first instruction, and what
// LGUEST_INIT filled in.
import Machine

enum StartChecks {
    static func run() {
        parameters()
        registers()
        sharedPage()
    }

    private static func parameters() {
        Check.equal("boot/subarchitecture-is-lguest", BootParameters.hardwareSubarchitecture, 1)
        let version = UInt32(BootParameters.protocolVersion)
        Check.that(
            "boot/protocol-version", version >= 0x207, "version \(hex: version), at least 0x207 expected")
        Check.that("boot/keep-segments-flag", BootParameters.loadFlags & 0x40 != 0)
        Check.equal("boot/sentinel-is-zero", UInt32(BootParameters.sentinel), 0)
        let alignment = BootParameters.kernelAlignment
        Check.that(
            "boot/kernel-alignment", alignment != 0 && alignment & (alignment - 1) == 0,
            "it is \(hex: alignment)")
        Check.equal("boot/memory-map-entries", UInt32(BootParameters.memoryMapEntries), 1)
        Check.that("boot/memory-map-starts-at-zero", BootParameters.memoryStart == 0)
        let size = BootParameters.memorySize
        Check.that("boot/memory-map-whole-mebibytes", size != 0 && size & 0xFFFFF == 0, "\(size) bytes")
        Check.equal("boot/memory-map-type-ram", BootParameters.memoryType, 1)
        Check.equal("boot/command-line-address", BootParameters.commandLineAddress, 0x1000)
        let line = BootParameters.commandLine
        Check.that("boot/command-line", !line.isEmpty, "it is empty")
        var screen: UInt32 = 0
        for offset in 0..<UInt32(16) { screen |= BootParameters.word(offset * 4) }
        Check.equal("boot/screen-info-is-zero", screen, 0)
        var legacy: UInt32 = 0
        for word in 0..<UInt32(0x60000 / 4) {
            legacy |= Memory.read32(PhysicalAddress(value: 0xA0000 + word * 4))
        }
        Check.equal("boot/legacy-area-reads-zero", legacy, 0)
    }

    private static func registers() {
        let start = start_state_copy()
        Check.equal("start/code-segment", start.cs, 0x61)
        Check.equal("start/data-segment", start.ds, 0x69)
        Check.equal("start/extra-segment", start.es, 0x69)
        Check.equal("start/stack-segment", start.ss, 0x69)
        Check.that("start/fs-null-or-flat", start.fs == 0 || start.fs == 0x69, "FS \(hex: start.fs)")
        Check.that("start/gs-null-or-flat", start.gs == 0 || start.gs == 0x69, "GS \(hex: start.gs)")
        Check.equal("start/gs-usable-before-init", start.gs_was_read, 1)
        Check.equal("start/esi-points-at-boot-parameters", start.esi, 0)
        let others = start.eax | start.ecx | start.edx | start.ebx | start.esp | start.ebp | start.edi
        Check.equal("start/general-registers-zero", others, 0)
        Check.equal("start/eflags", start.eflags, 0x202)
        let mark = Memory.read32(PhysicalAddress(value: UInt32(LINEAR_MARK_ADDRESS)))
        Check.equal("start/linear-mode-reaches-all-memory", mark, UInt32(LINEAR_MARK))
        Check.equal("start/init-keeps-eax", start.eax_after_init, 1)
    }

    private static func sharedPage() {
        let khz = SharedPage.tscKilohertz
        Check.that("init/tsc-frequency", khz > 1000 && khz < 20_000_000, "\(khz) kHz")
        let reserved = SharedPage.reservedBytes
        Check.that(
            "init/reserved-top", reserved != 0 && reserved & 0xFFF == 0 && reserved <= 0x400_0000,
            "\(hex: reserved) bytes")
        guard EarlyFindings.collected else { return }
        Check.that("init/time-plausible", EarlyFindings.seconds > 1_600_000_000, "\(EarlyFindings.seconds) s")
        Check.equal("init/interrupts-left-disabled", EarlyFindings.irqEnabled, 0)
        Check.equal("init/timer-left-blocked", EarlyFindings.blocked, 1)
        Check.equal("init/ring-left-free", EarlyFindings.freeSlots, 64)
        Check.that(
            "init/msr-tolerated-before-traps", EarlyFindings.microcodeVersion == 0,
            "rdmsr gave \(hex: UInt32(truncatingIfNeeded: EarlyFindings.microcodeVersion))")
    }
}

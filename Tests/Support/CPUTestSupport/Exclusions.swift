// SPDX-License-Identifier: Apache-2.0
//
// What is not compared with the host's processor, and why. Everything else in the instruction table is.

import X86

public enum Exclusions {
    /// Operations that cannot run natively in a user program, or that mean something else there.
    public static let operations: [Operation: String] = [
        .sysenter: "enters the host kernel, and long mode changes it",
        .sysexit: "long mode changes it",
        .vmcall: "reaches the host's hypervisor",
        .cpuid: "announces another processor",
        .rdtsc: "another clock",
        .sgdt: "the host's tables; UMIP makes it fault",
        .sidt: "the host's tables; UMIP makes it fault",
        .sldt: "the host's tables; UMIP makes it fault",
        .str: "the host's tables; UMIP makes it fault",
        .smsw: "the host's CR0; UMIP makes it fault",
        .int1: "some hypervisors report EIP at the instruction, not behind it",
        .verw: "hosts that carry it out in software accept LOCK",
        .ud: "UD0 has no ModRM byte on AMD; UD1 and UD2 are compared with Zydis",
        .prefetch: "0F 0D with a register: a NOP for Intel, #UD for AMD",
    ]

    /// Rows whose F3 or F2 form is another instruction on newer processors (TZCNT, LZCNT …), or whose
    /// condition the prefix changes on AMD (LOOPcc).
    public static func allowsRepeatPrefix(_ entry: TableEntry) -> Bool {
        switch entry.operation {
        case .loop, .loope, .loopne, .bsf, .bsr, .nop, .prefetch, .cmpxchg8b, .ud, .wbinvd, .invd: false
        default: true
        }
    }

    /// The instructions of the x87, MMX and SSE units, which are compared by themselves.
    public static func isFloating(_ operation: Operation) -> Bool {
        switch operation {
        case .x87, .x87Memory, .mmx, .sse, .sseMemory, .sseToGeneral, .sseFromGeneral, .sseMoveMask, .emms,
            .fxsave, .fxrstor, .ldmxcsr, .stmxcsr, .wait, .maskmov, .clflush, .mmxMove, .mmxImmediate,
            .sseImmediate, .sseNumeric, .sseCompare, .sseConvert:
            true
        default: false
        }
    }

    /// Rows of the table that are compared: of the x87, MMX and SSE units, and all others.
    public static let floatingEntries: [TableEntry] = InstructionTable.shared.entries.filter {
        isFloating($0.operation) && operations[$0.operation] == nil
    }
    /// Those that may follow another instruction in a case; faults of MASKMOV are not compared.
    static let floatingCompanions = floatingEntries.filter { $0.operation != .maskmov }
    public static let integerEntries: [TableEntry] = InstructionTable.shared.entries.filter {
        $0.operation != .invalid && operations[$0.operation] == nil && !isFloating($0.operation)
    }
}

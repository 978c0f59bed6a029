// SPDX-License-Identifier: Apache-2.0
//
// Whether a kernel uses three-level page tables (PAE). Up to Linux 3.0 an lguest kernel expects tables of its
// kind from the host before it has said which that is (docs: lguest ABI 1.5), and a kernel out of a bzImage
// has no symbols to look at. So several witnesses are asked, the surest first:
//
// 1. the embedded configuration (CONFIG_IKCONFIG),
// 2. the loop with which `startup_32` fills its first page table: 1024 entries of one word each, or 512
//    entries of two, the second word being kept at zero in EBX; all kernels before 4.12 have one or the other,
// 3. the symbol of the middle level's table, which two-level kernels have not (but those about 2.6.24 do),
// 4. what the kernel would print about the no-execute bit, which exists with PAE only: since 2.6.34 kernels have
//    one text or the other, compiled in by the same switch (2.6.32 has the second in any case).

import Support

/// What a kernel's page tables are, and how that is known.
public struct PAEEvidence: Equatable, Sendable {
    public let usesPAE: Bool
    /// The witness: "configuration", "symbols", "messages" or "code".
    public let source: String

    private static let tables = ["swapper_pg_pmd", "initial_pg_pmd", "early_pmd"]
    private static let saysTwoLevels = Array("non-PAE kernel".utf8)
    private static let saysThreeLevels = Array("NX (Execute Disable) protection: active".utf8)
    /// mov $1024,%ecx; 1: stos; add $0x1000,%eax; loop 1b
    private static let fillsTwoLevels: [UInt8] = [
        0xB9, 0x00, 0x04, 0x00, 0x00, 0xAB, 0x05, 0x00, 0x10, 0x00, 0x00, 0xE2,
    ]
    /// mov $512,%ecx; 1: stos; xchg %eax,%ebx; stos; xchg %eax,%ebx; add $0x1000,%eax; loop 1b
    private static let fillsThreeLevels: [UInt8] = [
        0xB9, 0x00, 0x02, 0x00, 0x00, 0xAB, 0x93, 0xAB, 0x93, 0x05, 0x00, 0x10, 0x00, 0x00, 0xE2,
    ]

    /// By the surest witness.
    init(configuration: [String]) {
        (usesPAE, source) = (configuration.contains("CONFIG_X86_PAE=y"), "configuration")
    }

    /// Nil where no witness says anything, or they contradict each other. Throws when the file cannot be read.
    init?(
        _ elf: ELF32File, symbols: SymbolTable?, configuration: [String]?
    ) throws(LguestError) {
        if let configuration {
            let found = PAEEvidence(configuration: configuration)
            (usesPAE, source) = (found.usesPAE, found.source)
        } else if let answer = try Self.one(Self.fillsTwoLevels, or: Self.fillsThreeLevels, in: elf) {
            (usesPAE, source) = (answer, "code")
        } else if let symbols {
            (usesPAE, source) = (Self.tables.contains { symbols.lookup(name: $0) != nil }, "symbols")
        } else if let answer = try Self.one(Self.saysTwoLevels, or: Self.saysThreeLevels, in: elf) {
            (usesPAE, source) = (answer, "messages")
        } else {
            return nil
        }
    }

    /// False when only `two` is in the file, true when only `three` is, nil otherwise.
    private static func one(
        _ two: [UInt8], or three: [UInt8], in elf: ELF32File
    ) throws(LguestError) -> Bool? {
        let (hasTwo, hasThree) = (try contains(two, elf), try contains(three, elf))
        return hasTwo == hasThree ? nil : hasThree
    }

    private static func contains(_ pattern: [UInt8], _ elf: ELF32File) throws(LguestError) -> Bool {
        for segment in elf.loadSegments
        where try elf.file.firstOffset(of: pattern, in: segment.fileRange) != nil {
            return true
        }
        return false
    }
}

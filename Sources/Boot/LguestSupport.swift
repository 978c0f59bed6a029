// SPDX-License-Identifier: Apache-2.0
//
// Finds out, before anything runs, whether a kernel has the lguest code in it (CONFIG_LGUEST_GUEST):
// without it, it would start as on a PC and be lost at its first look at the hardware.

import Support

/// How a kernel shows that it can run under lguest.
public enum LguestSupport: Equatable, Sendable {
    /// Its symbol table names the lguest entry or data.
    case symbols
    /// Its code has the hypercall that each lguest guest begins with.
    case entryStub
    /// Linux 2.6.23: execution begins behind the text "GenuineLguest", at this virtual address, with paging on and
    /// all of RAM at `pageOffset` (docs: lguest ABI 1.7).
    case signature(entry: UInt32, pageOffset: UInt32)
    /// It has none of these.
    case none
    /// It cannot be told: the kernel is compressed.
    case unknown

    /// What Linux 2.6.23 has in front of its entry.
    static let signatureText = Array("GenuineLguest".utf8)
    static let symbolNames = ["lguest_entry", "lguest_init", "lguest_data"]

    /// Looks for the signature, then at the symbols, and where they do not tell (a stripped kernel, or a guest that
    /// is not Linux), at the bytes that are loaded. Throws only when the file cannot be read.
    init(_ elf: ELF32File, symbols: SymbolTable?) throws(LguestError) {
        if let signature = try Self.signature(elf) {
            self = signature
        } else if let symbols, Self.symbolNames.contains(where: { symbols.lookup(name: $0) != nil }) {
            self = .symbols
        } else {
            self = try Self.hasEntryStub(elf) ? .entryStub : .none
        }
    }

    /// 2.6.23 has the names of the later kernels, too, but begins elsewhere: so its signature is looked for first.
    private static func signature(_ elf: ELF32File) throws(LguestError) -> LguestSupport? {
        let text = signatureText
        for segment in elf.loadSegments {
            let range = segment.fileRange
            guard let offset = try elf.file.firstOffset(of: text, in: range) else { continue }
            let behind = UInt64(segment.virtualAddress) + offset - range.lowerBound + UInt64(text.count)
            guard let entry = UInt32(exactly: behind) else { continue }
            return .signature(entry: entry, pageOffset: segment.virtualAddress &- segment.physicalAddress)
        }
        return nil
    }

    /// Looks at the bytes of a kernel that is no ELF file, for its code only: `.entryStub` or `.none`.
    init(inBytesOf file: InputFile) throws(LguestError) {
        self = try Self.hasEntryStub(file, 0..<file.size) ? .entryStub : .none
    }

    private static func hasEntryStub(_ elf: ELF32File) throws(LguestError) -> Bool {
        for segment in elf.loadSegments where try hasEntryStub(elf.file, segment.fileRange) { return true }
        return false
    }

    private static func hasEntryStub(_ file: InputFile, _ range: Range<UInt64>) throws(LguestError) -> Bool {
        try file.firstResult(in: range, overlap: UInt64(EntryStub.longest)) { bytes, _ in
            EntryStub.isPresent(in: bytes) ? true : nil
        } != nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The two kinds of table entries of an ELF32 file that we use (System V gABI, chapters 4 and 5).

/// One program header: a piece of the file and where it belongs in memory.
public struct ProgramHeader: Equatable, Sendable {
    /// `p_type` of a piece that is loaded.
    public static let load: UInt32 = 1
    /// `p_type` of the name of a dynamic linker: only programs have it, kernels do not.
    public static let interpreter: UInt32 = 3

    public let type: UInt32
    /// Where its bytes begin in the file.
    public let offset: UInt32
    /// Where the code believes that it is (a kernel: PAGE_OFFSET + physical address).
    public let virtualAddress: UInt32
    /// Where it is loaded (GPA).
    public let physicalAddress: UInt32
    /// Bytes in the file.
    public let fileSize: UInt32
    /// Bytes in memory; those beyond `fileSize` are zero.
    public let memorySize: UInt32

    init(_ fields: FieldReader) {
        type = fields.word(0)
        offset = fields.word(4)
        virtualAddress = fields.word(8)
        physicalAddress = fields.word(12)
        fileSize = fields.word(16)
        memorySize = fields.word(20)
    }

    /// The guest-physical addresses of the whole segment, as 64-bit numbers: none can overflow.
    public var physicalRange: Range<UInt64> {
        UInt64(physicalAddress)..<UInt64(physicalAddress) + UInt64(memorySize)
    }

    /// The virtual addresses of the whole segment.
    public var virtualRange: Range<UInt64> {
        UInt64(virtualAddress)..<UInt64(virtualAddress) + UInt64(memorySize)
    }

    /// The bytes of the file that it loads.
    public var fileRange: Range<UInt64> { UInt64(offset)..<UInt64(offset) + UInt64(fileSize) }
}

/// One section header, as far as symbols need it.
public struct SectionHeader: Equatable, Sendable {
    /// `sh_type` of the symbol table.
    public static let symbolTable: UInt32 = 2
    /// `sh_type` of a table of names.
    public static let stringTable: UInt32 = 3

    public let type: UInt32
    public let offset: UInt32
    public let size: UInt32
    /// `sh_link`: for a symbol table the index of the section with its names.
    public let link: UInt32
    /// Bytes of one entry.
    public let entrySize: UInt32

    init(_ fields: FieldReader) {
        type = fields.word(4)
        offset = fields.word(16)
        size = fields.word(20)
        link = fields.word(24)
        entrySize = fields.word(36)
    }
}

/// A record of fixed size whose fields are read by offset. A field outside the record reads as 0, and
/// a record is never cut from a file without a check that it is all there.
struct FieldReader {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func half(_ offset: Int) -> UInt16 { bytes.littleEndian(at: offset) ?? 0 }
    func word(_ offset: Int) -> UInt32 { bytes.littleEndian(at: offset) ?? 0 }
}

// SPDX-License-Identifier: Apache-2.0
//
// Reads the headers of a 32-bit x86 ELF file (System V gABI, chapters 4 and 5). A kernel file comes
// from anywhere, so each offset and size in it is taken for hostile until it is checked against the
// file; what does not fit ends in one error line that names the field.

/// The checked headers of an ELF32 file for i386. Having one means: the program and section header
/// tables are inside the file, and so are the file bytes of each PT_LOAD segment.
public struct ELF32File: Sendable {
    /// The file that the headers describe.
    public let file: InputFile
    /// `e_type`: 2 = executable, 3 = position-independent.
    public let type: UInt16
    /// `e_entry`: a guest-physical address in a Linux kernel.
    public let entry: UInt32
    /// All program headers, in file order.
    public let programHeaders: [ProgramHeader]
    /// All section headers, in file order; empty when there are none.
    public let sectionHeaders: [SectionHeader]

    /// The PT_LOAD segments that occupy memory, in file order.
    public var loadSegments: [ProgramHeader] {
        programHeaders.filter { $0.type == ProgramHeader.load && $0.memorySize > 0 }
    }

    public static let executable: UInt16 = 2
    public static let positionIndependent: UInt16 = 3
    static let headerSize: UInt64 = 52

    /// Reads and checks the headers of `file`, whose first bytes the caller has found to be those of
    /// an ELF32 file. Throws `.badInput`, naming the file and the field that is wrong.
    public init(_ file: InputFile) throws(LguestError) {
        self.file = file
        let fields = FieldReader(try file.bytes(0, count: Self.headerSize))
        type = fields.half(16)
        entry = fields.word(24)
        try Self.check(
            fields.half(18) == 3, file, "its ELF machine is number \(fields.half(18)), not the i386 (3)")
        try Self.check(
            type == Self.executable || type == Self.positionIndependent, file,
            "its ELF type is number \(type), not an executable (2)")
        programHeaders = try Self.table(
            file, offset: fields.word(28), entrySize: fields.half(42), count: fields.half(44),
            expectedSize: 32, what: "program header"
        ).map(ProgramHeader.init)
        sectionHeaders = try Self.table(
            file, offset: fields.word(32), entrySize: fields.half(46), count: fields.half(48),
            expectedSize: 40, what: "section header"
        ).map(SectionHeader.init)
        try checkLoadSegments()
    }

    /// The entries of a header table, one byte array each.
    private static func table(
        _ file: InputFile, offset: UInt32, entrySize: UInt16, count: UInt16, expectedSize: UInt64,
        what: String
    ) throws(LguestError) -> [FieldReader] {
        guard count > 0 else { return [] }
        try check(
            UInt64(entrySize) == expectedSize, file,
            "damaged ELF file: the size of a \(what) is \(entrySize), not \(expectedSize)")
        let length = UInt64(count) * expectedSize
        try check(
            file.contains(UInt64(offset), count: length), file,
            "truncated ELF file: \(count) \(what)s at offset \(UInt64(offset).asHex) do not fit "
                + "into its \(file.size.asByteCount)")
        let bytes = try file.bytes(UInt64(offset), count: length)
        return stride(from: 0, to: bytes.count, by: Int(expectedSize)).map {
            FieldReader(Array(bytes[$0..<$0 + Int(expectedSize)]))
        }
    }

    /// The rules of gABI chapter 5 that loading relies on.
    private func checkLoadSegments() throws(LguestError) {
        for (index, segment) in programHeaders.enumerated() where segment.type == ProgramHeader.load {
            let name = "segment \(index)"
            try Self.check(
                segment.fileSize <= segment.memorySize, file,
                "damaged ELF file: \(name) has more bytes in the file (\(segment.fileSize.asHex)) "
                    + "than in memory (\(segment.memorySize.asHex))")
            try Self.check(
                file.contains(UInt64(segment.offset), count: UInt64(segment.fileSize)), file,
                "truncated ELF file: \(name) wants \(UInt64(segment.fileSize).asByteCount) at offset "
                    + "\(segment.offset.asHex), and the file has \(file.size.asByteCount)")
            try Self.check(
                UInt64(segment.physicalAddress) + UInt64(segment.memorySize) <= 1 << 32, file,
                "damaged ELF file: \(name) at \(segment.physicalAddress.asHex) ends above 4 GiB")
        }
    }

    private static func check(
        _ condition: Bool, _ file: InputFile, _ message: @autoclosure () -> String
    ) throws(LguestError) {
        guard condition else { throw LguestError(.badInput, "\(file.name): \(message())") }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Names for addresses: what turns `c1045f2a` into `load_ucode_intel_bsp+0x1a`. Built from a kernel's
// own ELF symbol table; it keeps 16 bytes for each symbol plus the table of names, about 3 MB for
// a Linux 4.4, and makes strings only when it is asked.

/// A symbol of the guest kernel.
public struct Symbol: Equatable, Sendable {
    public let name: String
    /// Virtual address, as linked.
    public let address: UInt32
    /// Bytes, or 0 when the file does not say.
    public let size: UInt32

    public init(name: String, address: UInt32, size: UInt32 = 0) {
        self.name = name
        self.address = address
        self.size = size
    }
}

/// The names of one kernel image, by address and by name.
public struct SymbolTable: Sendable {
    /// One symbol; `name` is an offset into `names`.
    struct Entry {
        let address: UInt32
        let size: UInt32
        let name: UInt32
        /// Which of several names for one address is shown: the lowest rank.
        let rank: UInt32
    }

    /// A piece of the image: where it is linked and where it is loaded.
    struct Placement {
        let virtualRange: Range<UInt64>
        let physicalStart: UInt64
    }

    /// Sorted by address, then by rank.
    let entries: [Entry]
    /// Symbols that are plain numbers (`SHN_ABS`): they have a value but name no place.
    let absolutes: [Entry]
    /// All names, each ended by a zero byte; the last byte is zero.
    let names: [UInt8]
    let placements: [Placement]

    /// How many symbols have an address.
    public var count: Int { entries.count }

    /// Above this many bytes a table is refused as hostile; a big kernel's has 3 MB.
    private static let sizeLimit: UInt32 = 64 << 20

    /// The symbol table of `elf`, or nil when the file is stripped. Throws `.badInput` when the table
    /// is not inside the file or has no names.
    public init?(_ elf: ELF32File) throws(LguestError) {
        guard let section = elf.sectionHeaders.first(where: { $0.type == SectionHeader.symbolTable }) else {
            return nil
        }
        guard section.entrySize == Self.recordSize, Int(section.link) < elf.sectionHeaders.count else {
            throw LguestError(.badInput, "\(elf.file.name): damaged ELF file: its symbol table has no names")
        }
        let records = try Self.contents(of: section, elf.file)
        let names = try Self.contents(of: elf.sectionHeaders[Int(section.link)], elf.file)
        let placements = elf.loadSegments.map {
            Placement(virtualRange: $0.virtualRange, physicalStart: UInt64($0.physicalAddress))
        }
        self.init(records: records, names: names, placements: placements)
    }

    /// A table of `symbols` that come from elsewhere, in any order. The image is taken to reach from the
    /// lowest of them to the end of the highest, and to be loaded at `physicalStart` (GPA); nil where no
    /// physical addresses are looked up.
    public init(_ symbols: [Symbol], physicalStart: UInt32? = nil) {
        var names: [UInt8] = [0]
        entries = symbols.sorted { $0.address < $1.address }.map { symbol in
            defer { names += Array(symbol.name.utf8) + [0] }
            return Entry(address: symbol.address, size: symbol.size, name: UInt32(names.count), rank: 0)
        }
        self.names = names
        absolutes = []
        guard let first = entries.first, let last = entries.last else {
            placements = []
            return
        }
        let range = UInt64(first.address)..<UInt64(last.address) + UInt64(max(1, last.size))
        placements = [
            Placement(virtualRange: range, physicalStart: UInt64(physicalStart ?? first.address))
        ]
    }

    /// Takes over the raw table; a record whose name is outside `names` is left out.
    init(records: [UInt8], names: [UInt8], placements: [Placement]) {
        var entries: [Entry] = []
        var absolutes: [Entry] = []
        entries.reserveCapacity(records.count / Int(Self.recordSize))
        for start in stride(from: 0, through: records.count - Int(Self.recordSize), by: Int(Self.recordSize))
        {
            guard let record = Record(records, at: start), record.isNamed(in: names) else { continue }
            if record.section == Record.absolute {
                absolutes.append(record.entry)
            } else if record.namesAPlace {
                entries.append(record.entry)
            }
        }
        entries.sort { ($0.address, $0.rank, $0.name) < ($1.address, $1.rank, $1.name) }
        self.entries = entries
        self.absolutes = absolutes
        self.names = names.last == 0 ? names : names + [0]
        self.placements = placements
    }

    private static let recordSize: UInt32 = 16

    private static func contents(of section: SectionHeader, _ file: InputFile) throws(LguestError) -> [UInt8]
    {
        guard file.contains(UInt64(section.offset), count: UInt64(section.size)) else {
            throw LguestError(
                .badInput, "\(file.name): truncated ELF file: its symbol table is not all there")
        }
        guard section.size <= sizeLimit else {
            throw LguestError(
                .badInput,
                "\(file.name): damaged ELF file: a symbol table of \(UInt64(section.size).asByteCount)")
        }
        return try file.bytes(UInt64(section.offset), count: UInt64(section.size))
    }
}

/// One record of an ELF32 symbol table (System V gABI, chapter 4).
private struct Record {
    /// `st_shndx` of a symbol that is a plain number.
    static let absolute: UInt16 = 0xFFF1

    let name: UInt32
    let value: UInt32
    let size: UInt32
    let info: UInt8
    let section: UInt16

    init?(_ bytes: [UInt8], at offset: Int) {
        guard let name: UInt32 = bytes.littleEndian(at: offset),
            let value: UInt32 = bytes.littleEndian(at: offset + 4),
            let size: UInt32 = bytes.littleEndian(at: offset + 8),
            let info: UInt8 = bytes.littleEndian(at: offset + 12),
            let section: UInt16 = bytes.littleEndian(at: offset + 14)
        else { return nil }
        (self.name, self.value, self.size, self.info, self.section) = (name, value, size, info, section)
    }

    /// Untyped labels, data and functions of a real section name places; sections, source files and
    /// undefined symbols do not.
    var namesAPlace: Bool { info & 15 <= 2 && section != 0 && section < 0xFF00 }

    /// Whether it has a name that people wrote: not an empty one, not an assembler's `.L123`.
    func isNamed(in names: [UInt8]) -> Bool {
        let first = Int(name)
        return first < names.count && names[first] != 0 && names[first] != UInt8(ascii: ".")
    }

    /// Functions before data before labels; among those global before weak before local.
    var entry: SymbolTable.Entry {
        let type: UInt32 = [2, 1, 0, 3][Int(info & 3)]
        let binding: UInt32 = [2, 0, 1, 3][Int(min(info >> 4, 3))]
        return SymbolTable.Entry(address: value, size: size, name: name, rank: type << 2 | binding)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Support
import Testing

@Suite("Symbols")
struct SymbolTableTests {
    private func table(_ symbols: [ELFBuilder.Symbol]) throws -> SymbolTable {
        var builder = ELFBuilder.kernel
        builder.symbols = symbols
        return try #require(try SymbolTable(ELF32File(builder.file)))
    }

    @Test("lookup by virtual and by physical address")
    func lookup() throws {
        let table = try table([
            .init(name: "second", value: 0xC010_0040, size: 16),
            .init(name: "first", value: 0xC010_0010, size: 16),
            .init(name: "data", value: 0xC010_1000, size: 4, info: 0x11, section: 2),
        ])
        #expect(table.count == 3)
        #expect(table.lookup(0xC010_0010)?.description == "first")
        #expect(table.lookup(0xC010_002A)?.description == "first+0x1a")
        #expect(table.lookup(0x10_002A)?.description == "first+0x1a")
        #expect(table.lookup(0xC010_0040)?.symbol == Symbol(name: "second", address: 0xC010_0040, size: 16))
        #expect(table.lookup(0x10_2003)?.description == "data+0x1003")
        // Behind the last call of a function that does not come back from it.
        #expect(table.lookup(returnAddress: 0xC010_0040)?.description == "first+0x30")
        #expect(table.lookup(returnAddress: 0xC010_0041)?.description == "second+0x1")
        #expect(table.lookup(returnAddress: 0xC010_0010)?.description == "first")
        #expect(table.lookup(returnAddress: 0) == nil)
        // Below the first symbol, and outside the image.
        for address: UInt32 in [0xC010_0000, 0x10_0000, 0, 0xC010_2004, 0x10_2004, 0xFFFF_FFFF, 0xBFFF_FFFF] {
            #expect(table.lookup(address) == nil)
        }
        #expect(table.lookup(name: "data")?.address == 0xC010_1000)
        for name in ["dat", "data2", "", "nothing", "first\0data"] {
            #expect(table.lookup(name: name) == nil)
        }
    }

    @Test("of several names a function wins, then a global one")
    func aliases() throws {
        let table = try table([
            .init(name: "label", value: 0xC010_0010, info: 0x10),
            .init(name: "local", value: 0xC010_0010, info: 2),
            .init(name: "global", value: 0xC010_0010, info: 0x12),
            .init(name: "weak", value: 0xC010_0010, info: 0x22),
            .init(name: "object", value: 0xC010_0010, info: 0x11),
        ])
        #expect(table.lookup(0xC010_0011)?.description == "global+0x1")
        #expect(table.lookup(name: "weak")?.address == 0xC010_0010)
    }

    @Test("what names no place is left out")
    func leftOut() throws {
        let table = try table([
            .init(name: "file.c", value: 0xC010_0010, info: 4),
            .init(name: ".text", value: 0xC010_0010, info: 3),
            .init(name: "undefined", value: 0, section: 0), .init(name: ".L12", value: 0xC010_0010),
            .init(name: "number", value: 0xC010_0010, section: 0xFFF1), .init(name: "", value: 0xC010_0010),
            .init(name: "evil\n\u{1B}[2J", value: 0xC010_0020),
        ])
        #expect(table.count == 1)
        #expect(table.lookup(0xC010_0010) == nil)
        #expect(table.lookup(name: "number")?.address == 0xC010_0010)
        #expect(table.lookup(0xC010_0020)?.description == "evil??[2J")
    }

    @Test("no table, no symbols")
    func stripped() throws {
        #expect(try SymbolTable(ELF32File(ELFBuilder.kernel.file)) == nil)
        let table = SymbolTable([])
        #expect(table.lookup(0) == nil && table.lookup(name: "a") == nil)
    }

    @Test("symbols from elsewhere")
    func fromElsewhere() {
        let table = SymbolTable(
            [
                Symbol(name: "b", address: 0xC000_0100, size: 8),
                Symbol(name: "a", address: 0xC000_0000, size: 8),
            ], physicalStart: 0)
        #expect(table.lookup(0xC000_0104)?.description == "b+0x4")
        #expect(table.lookup(0x102)?.description == "b+0x2")
        #expect(table.lookup(0x200) == nil)
    }

    @Test("hostile symbol tables", arguments: [4, 16, 20, 24, 36])
    func hostile(field: Int) throws {
        var builder = ELFBuilder.kernel
        builder.symbols = [.init(name: "a", value: 0xC010_0000)]
        let good = builder.bytes()
        for value: UInt32 in [0, 1, 2, 15, 0x7FFF_FFFF, 0x8000_0000, .max] {
            var bytes = good
            bytes.patch(bytes.count - 80 + field, words([value]))
            do throws(LguestError) {
                let table = try SymbolTable(ELF32File(InputFile(name: "x", bytes: bytes)))
                _ = table?.lookup(0xC010_0000)
                _ = table?.lookup(name: "a")
            } catch {
                #expect(error.code == .badInput)
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

import Support
import Testing

@testable import Trace

/// Lays symbols out in memory as a kernel's build does (scripts that compress names are free in their choice of
/// tokens; here a few pairs of letters have one).
enum KallsymsBuilder {
    /// `late`: in the order of 6.4 and after, addresses last.
    static func memory(
        _ symbols: [Symbol], relative: Bool, numbered: Bool = false, late: Bool = false, before: Int = 5000
    ) -> [UInt8] {
        var tokens: [[UInt8]] = (0..<256).map { [UInt8($0)] }
        // Bytes that no name has stand for pieces of text; the rest of the unused ones are empty.
        let pieces = ["Tsys_", "do_", "er", "in", "page"]
        for (index, piece) in pieces.enumerated() { tokens[0x80 + index] = Array(piece.utf8) }
        for n in 0..<256 where !(0x20...0x7E).contains(n) && !(0x80..<0x80 + pieces.count).contains(n) {
            tokens[n] = []
        }
        var memory = [UInt8](repeating: 0x90, count: before)
        func align(_ unit: Int) { while memory.count % unit != 0 { memory.append(0) } }
        func word(_ value: UInt32) {
            align(4)
            memory += (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
        }
        let sorted = symbols.sorted { $0.address < $1.address }
        let base = sorted.first?.address ?? 0
        func addresses() {
            align(4)
            for symbol in sorted { word(relative ? symbol.address - base : symbol.address) }
            if relative {
                align(4)
                word(base)
            }
        }
        func numbers() {
            align(4)
            for n in sorted.indices.sorted(by: { sorted[$0].name < sorted[$1].name }) {
                memory += [16, 8, 0].map { UInt8(truncatingIfNeeded: n >> $0) }
            }
        }
        if !late { addresses() }
        align(4)
        word(UInt32(sorted.count))
        align(4)
        var markers: [UInt32] = []
        let names = memory.count
        for (n, symbol) in sorted.enumerated() {
            if n % 256 == 0 { markers.append(UInt32(memory.count - names)) }
            var text = Array(("T" + symbol.name).utf8)
            var codes: [UInt8] = []
            while let first = text.first {
                let piece = pieces.firstIndex { text.starts(with: Array($0.utf8)) }
                codes.append(piece.map { UInt8(0x80 + $0) } ?? first)
                text.removeFirst(piece.map { pieces[$0].utf8.count } ?? 1)
            }
            let isLong = codes.count > 127
            memory +=
                isLong ? [UInt8(codes.count & 127 | 128), UInt8(codes.count >> 7)] : [UInt8(codes.count)]
            memory += codes
        }
        align(4)
        for marker in markers { word(marker) }
        align(4)
        if numbered, !late { numbers() }
        align(4)
        var offsets: [UInt16] = []
        let table = memory.count
        for token in tokens {
            offsets.append(UInt16(memory.count - table))
            memory += token + [0]
        }
        align(4)
        for offset in offsets { memory += [UInt8(truncatingIfNeeded: offset), UInt8(offset >> 8)] }
        if late {
            addresses()
            if numbered { numbers() }
        }
        return memory + [UInt8](repeating: 0x90, count: 3000)
    }
}

@Suite("Kallsyms")
struct KallsymsTests {
    private static let symbols = (0..<1000).map { n in
        Symbol(
            name: "\(n % 3 == 0 ? "sys_" : "do_page_")function_\(n)", address: 0xC100_0000 + UInt32(n) * 48)
    }

    @Test("a table in memory is found and read", arguments: [false, true], [false, true])
    func found(relative: Bool, late: Bool) throws {
        let memory = KallsymsBuilder.memory(Self.symbols, relative: relative, numbered: late, late: late)
        let table = try #require(Kallsyms(in: memory))
        #expect(table.symbols.map(\.name) == Self.symbols.map(\.name))
        #expect(table.symbols.map(\.address) == Self.symbols.map(\.address))
    }

    @Test(
        "few symbols, many symbols; with numbers by name", arguments: [1, 2, 255, 256, 257, 5000],
        [false, true])
    func counts(count: Int, numbered: Bool) throws {
        let symbols = (0..<count).map { Symbol(name: "name\($0)", address: 0xC000_1000 + UInt32($0) * 16) }
        let memory = KallsymsBuilder.memory(symbols, relative: numbered, numbered: numbered)
        let table = try #require(Kallsyms(in: memory))
        #expect(table.symbols.count == count && table.symbols.last == symbols.last)
    }

    @Test("names of more than 127 letters", arguments: [127, 128, 200, 500])
    func longNames(length: Int) throws {
        let long = Symbol(name: String(repeating: "q", count: length), address: 0xC100_0008)
        let memory = KallsymsBuilder.memory(
            Self.symbols + [long], relative: true, numbered: true, late: true)
        let table = try #require(Kallsyms(in: memory))
        #expect(table.symbols.contains(long) && table.symbols.count == Self.symbols.count + 1)
    }

    @Test("no table in memory that has none; damage never crashes")
    func damage() {
        #expect(Kallsyms(in: []) == nil)
        #expect(Kallsyms(in: [UInt8](repeating: 0x30, count: 4000)) == nil)
        for late in [false, true] {
            tryDamage(KallsymsBuilder.memory(Self.symbols, relative: true, numbered: late, late: late))
        }
    }

    private func tryDamage(_ whole: [UInt8]) {
        var state: UInt64 = 99
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        for _ in 0..<200 {
            var memory = whole
            for _ in 0..<1 + random(20) { memory[random(memory.count)] = UInt8(random(256)) }
            if let found = Kallsyms(in: memory) { #expect(found.symbols.count <= 1 << 20) }
            _ = Kallsyms(in: Array(whole.prefix(random(whole.count))))
            _ = Kallsyms(in: Array(whole.dropFirst(random(whole.count))))
        }
    }

    @Test("a System.map, and what is none")
    func systemMap() throws {
        let text = "c1000000 T startup_32\nc1000100 t do_it\nc1000200 T next\n00000010 A number\n"
        let table = try SymbolFile.systemMap(Array(text.utf8), "map")
        #expect(table.lookup(0xC100_0104)?.description == "do_it+0x4")
        #expect(table.lookup(name: "number") == nil)
        for bad in ["", "hello world\n", "c1000000 startup_32\n"] {
            #expect(throws: LguestError.self) { try SymbolFile.systemMap(Array(bad.utf8), "map") }
        }
        #expect(SymbolFile.candidates(besideKernel: "/boot/vmlinuz-4.4").contains("/boot/System.map-4.4"))
        #expect(
            SymbolFile.candidates(besideKernel: "arch/x86/boot/bzImage").contains(
                "arch/x86/boot/../../../vmlinux"))
    }
}

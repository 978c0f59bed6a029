// SPDX-License-Identifier: Apache-2.0

import Support
import Testing

@testable import Trace

@Suite("What a kernel offers to its modules")
struct KernelExportsTests {
    /// How entries are written.
    struct Form: Sendable {
        var words: Int
        var isRelative: Bool
        static let all = [2, 3].flatMap { words in [false, true].map { Form(words: words, isRelative: $0) } }
    }

    private static let linear: UInt32 = 0xC100_0000
    private static let symbols = (0..<300).map { n in
        Symbol(name: n == 77 ? "init_task" : "offered_\(n)", address: linear + 64 + UInt32(n) * 8)
    }

    private static func memory(_ form: Form) -> [UInt8] {
        var memory = [UInt8](repeating: 0xCC, count: 8192)
        var names: [UInt32] = []
        for symbol in symbols {
            names.append(linear + UInt32(memory.count))
            memory += Array(symbol.name.utf8) + [0]
        }
        while memory.count & 3 != 0 { memory.append(0) }
        memory += [UInt8](repeating: 0, count: 64)
        let empty = linear + UInt32(memory.count) - 1
        for (symbol, name) in zip(symbols, names) {
            for target in [symbol.address, name, empty].prefix(form.words) {
                let here = linear + UInt32(memory.count)
                let word = form.isRelative ? target &- here : target
                memory += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
            }
        }
        return memory + [UInt8](repeating: 0xEE, count: 4000)
    }

    @Test("is found in each of its forms", arguments: Form.all)
    func found(form: Form) throws {
        let exports = try #require(KernelExports(in: Self.memory(form), linear: Self.linear))
        #expect(exports.symbols == Self.symbols)
    }

    @Test("adds what a table lacks, and nothing to a table that says something else")
    func missing() throws {
        let exports = try #require(KernelExports(in: Self.memory(Form.all[3]), linear: Self.linear))
        #expect(exports.missing(in: Array(Self.symbols.prefix(200))) == Array(Self.symbols.dropFirst(200)))
        let moved = Self.symbols.prefix(200).map { Symbol(name: $0.name, address: $0.address + 4096) }
        #expect(exports.missing(in: moved).isEmpty)
        #expect(exports.missing(in: []).isEmpty)
    }

    @Test("nothing in memory that has none; damage never crashes", arguments: Form.all)
    func damage(form: Form) {
        #expect(KernelExports(in: [], linear: 0) == nil)
        #expect(
            KernelExports(in: Array("init_task\0".utf8) + [UInt8](repeating: 0, count: 500), linear: 0) == nil
        )
        let whole = Self.memory(form)
        var state: UInt64 = 7
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        for _ in 0..<100 {
            var memory = whole
            for _ in 0..<1 + random(30) { memory[8192 + random(memory.count - 8192)] = UInt8(random(256)) }
            let found = KernelExports(in: memory, linear: UInt32.max - UInt32(random(20_000)))
            #expect(found.map { $0.symbols.count <= 1 << 17 } ?? true)
            _ = KernelExports(in: Array(whole.prefix(random(whole.count))), linear: Self.linear)
        }
    }
}

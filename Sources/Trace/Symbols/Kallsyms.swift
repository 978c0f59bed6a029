// SPDX-License-Identifier: Apache-2.0
//
// The symbol table that a Linux kernel carries in its own memory (CONFIG_KALLSYMS), for when there is no ELF file
// with symbols. Nothing says where it is; it is recognised by its shape. In memory there follow each other:
//
//     addresses       a word for each symbol (or, from 4.6 on, its distance from a base, and the base)
//     how many there are
//     names           for each symbol its length and that many tokens, one byte each
//     markers         where every 256th symbol's name begins
//     (numbers        of the symbols in the order of their names, 3 bytes each: from 6.2 on, and in later 6.1)
//     token table     256 pieces of text, each ended by zero
//     token index     where each piece begins, 16 bits each
//
// A name's first character is the symbol's type. All of this is the guest's, and may be anything.

import Support

public struct Kallsyms {
    /// By address.
    public let symbols: [Symbol]

    /// Most symbols that a kernel may have; big ones have a hundred thousand.
    private static let limit: UInt32 = 1 << 20

    /// Looks through `memory`, the guest's RAM from address 0 on, for the first table. Nil when there is none.
    public init?(in memory: [UInt8]) {
        var search = 0
        while let digits = Self.findDigits(memory, from: search) {
            search = digits + 1
            if let table = Layout(memory, digitsAt: digits), let found = table.symbols(), !found.isEmpty {
                symbols = found.sorted { $0.address < $1.address }
                return
            }
        }
        return nil
    }

    /// The tokens of the ten digits stand for themselves, one after the other.
    private static func findDigits(_ memory: [UInt8], from start: Int) -> Int? {
        guard memory.count >= 20 else { return nil }
        return memory.withUnsafeBufferPointer { bytes in
            var at = start
            let end = bytes.count - 20
            while at <= end {
                if bytes[at] == 0x30, bytes[at + 1] == 0, bytes[at + 2] == 0x31, bytes[at + 4] == 0x32,
                    (3..<10).allSatisfy({
                        bytes[at + 2 * $0] == 0x30 + UInt8($0) && bytes[at + 2 * $0 + 1] == 0
                    })
                {
                    return at
                }
                at += 1
            }
            return nil
        }
    }

    /// Where the parts are.
    private struct Layout {
        let memory: [UInt8]
        var tokens: [[UInt8]] = []
        var count = 0
        var names = 0
        var countAt = 0

        init?(_ memory: [UInt8], digitsAt digits: Int) {
            self.memory = memory
            guard let table = findTokenTable(digits), findNames(before: table) else { return nil }
        }

        func word(_ at: Int) -> UInt32? {
            guard at >= 0, at + 4 <= memory.count else { return nil }
            return memory.littleEndian(at: at)
        }

        /// Walks back from the token of `0` to the second. The first begins at a word's border: how far back, what is
        /// before the table does not show.
        private mutating func findTokenTable(_ digits: Int) -> Int? {
            var start = digits
            for _ in 1..<0x30 {
                // The zero byte before it ends the token before; its text begins behind the one before that.
                guard start >= 2, memory[start - 1] == 0 else { return nil }
                var first = start - 1
                while first > 0, memory[first - 1] != 0, start - first < 128 { first -= 1 }
                start = first
            }
            guard start >= 1, memory[start - 1] == 0 else { return nil }
            var first = start - 1
            while first >= 0, start - first <= 128, first == start - 1 || memory[first] != 0 {
                if first & 3 == 0, readTokens(first) { return first }
                first -= 1
            }
            return nil
        }

        /// Takes the tokens of a table at `start`, if the index behind it fits them.
        private mutating func readTokens(_ start: Int) -> Bool {
            var at = start
            var offsets: [Int] = []
            tokens = []
            for _ in 0..<256 {
                guard let end = memory[at...].prefix(128).firstIndex(of: 0) else { return false }
                offsets.append(at - start)
                tokens.append(Array(memory[at..<end]))
                at = end + 1
            }
            return stride(from: (at + 1) & ~1, through: (at + 15) & ~1, by: 2).contains { index in
                (0..<256).allSatisfy { n in
                    let entry: UInt16? = memory.littleEndian(at: index + 2 * n)
                    return entry == UInt16(truncatingIfNeeded: offsets[n])
                }
            }
        }

        /// The markers end before the token table and begin with a zero; the names, and how many there are, come
        /// before them.
        private mutating func findNames(before table: Int) -> Bool {
            for padding in stride(from: 0, through: 28, by: 4) {
                var first = (table & ~3) - 4 - padding
                guard let last = word(first), last != 0 || padding == 0 else { continue }
                while let value = word(first), value != 0, let before = word(first - 4), before < value {
                    first -= 4
                }
                guard word(first) == 0 else { continue }
                let markers = ((table & ~3) - padding - first) / 4
                if findCount(markersAt: first, markers: markers, last: Int(last)) { return true }
            }
            return (0..<4).contains { findNames(beforeNumbersEndingAt: table - $0) }
        }

        /// The same with the symbols' numbers in between: all below how many there are, each once. So going back, they
        /// begin where the largest number that was met is one less than how many were.
        private mutating func findNames(beforeNumbersEndingAt end: Int) -> Bool {
            var largest = 0
            var at = end - 3
            for number in 1...Int(Kallsyms.limit) {
                guard at >= 0 else { return false }
                let value = Int(memory[at]) << 16 | Int(memory[at + 1]) << 8 | Int(memory[at + 2])
                guard value < Kallsyms.limit else { return false }
                largest = max(largest, value)
                if largest + 1 == number, at & 3 == 0 {
                    let markers = (number + 255) / 256
                    let first = at - 4 * markers
                    if word(first) == 0, let last = word(at - 4),
                        findCount(markersAt: first, markers: markers, last: Int(last)), count == number
                    {
                        return true
                    }
                }
                at -= 3
            }
            return false
        }

        private mutating func findCount(markersAt: Int, markers: Int, last: Int) -> Bool {
            // The names are a little longer than the last marker says: at most 256 names of 128 bytes.
            var at = (markersAt - last - 4) & ~3
            let lowest = max(0, at - 256 * 129)
            while at >= lowest {
                if let number = word(at), number > 0, number <= Kallsyms.limit,
                    (Int(number) + 255) / 256 == markers,
                    let end = endOfNames(at + 4, Int(number), markersAt), markersAt - end < 32
                {
                    count = Int(number)
                    names = at + 4
                    countAt = at
                    return true
                }
                at -= 4
            }
            return false
        }

        /// Where the names end if they begin at `start`; nil when they do not fit the first marker or the space.
        private func endOfNames(_ start: Int, _ number: Int, _ markersAt: Int) -> Int? {
            var at = start
            for n in 0..<number {
                if n == 256, UInt32(at - start) != word(markersAt + 4) { return nil }
                guard at < markersAt, memory[at] > 0 else { return nil }
                at += 1 + Int(memory[at])
            }
            return at <= markersAt ? at : nil
        }

        func symbols() -> [Symbol]? {
            addresses(endingAt: countAt).map(named)
        }

        private func addresses(endingAt end: Int) -> [UInt32]? {
            func ascending(_ start: Int) -> [UInt32]? {
                guard start >= 0 else { return nil }
                var list: [UInt32] = []
                list.reserveCapacity(count)
                var previous: UInt32 = 0
                for n in 0..<count {
                    guard let value = word(start + 4 * n), value >= previous else { return nil }
                    list.append(value)
                    previous = value
                }
                return list
            }
            // Relative ones are small, and the word behind them is their base; the last plain one is no base.
            guard let last = word(end - 4), last >= 0x4000_0000 else { return nil }
            if let distances = ascending(end - 4 - 4 * count), distances.last ?? 0 < 0x4000_0000 {
                return distances.map { last &+ $0 }
            }
            return ascending(end - 4 * count)
        }

        private func named(_ addresses: [UInt32]) -> [Symbol] {
            var result: [Symbol] = []
            result.reserveCapacity(count)
            var at = names
            for n in 0..<count {
                let length = Int(memory[at])
                var text: [UInt8] = []
                for token in memory[at + 1..<at + 1 + length] { text += tokens[Int(token)] }
                at += 1 + length
                guard let type = text.first, text.count > 1 else { continue }
                // Absolute symbols are numbers, not places.
                if type == UInt8(ascii: "a") || type == UInt8(ascii: "A") { continue }
                let name = String(decoding: text.dropFirst(), as: UTF8.self).asOneLine
                result.append(Symbol(name: name, address: addresses[n]))
            }
            return result
        }
    }
}

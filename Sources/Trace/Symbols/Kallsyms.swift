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
// From 6.4 on, the addresses come last, and behind them the numbers. Names of more than 127 tokens have two bytes of
// length, 7 bits each, from 6.1 on.
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
        var tokensEnd = 0

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
            let index = stride(from: (at + 1) & ~1, through: (at + 15) & ~1, by: 2).first { index in
                (0..<256).allSatisfy { n in
                    let entry: UInt16? = memory.littleEndian(at: index + 2 * n)
                    return entry == UInt16(truncatingIfNeeded: offsets[n])
                }
            }
            guard let index else { return false }
            tokensEnd = index + 512
            return true
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
                guard at < markersAt, let length = tokenBytes(at) else { return nil }
                at = length.upperBound
            }
            return at <= markersAt ? at : nil
        }

        /// The tokens of the name at `at`: behind one or two bytes of length. Nil when there are none.
        private func tokenBytes(_ at: Int) -> Range<Int>? {
            guard at >= 0, at + 1 < memory.count else { return nil }
            var (length, start) = (Int(memory[at]), at + 1)
            if length & 0x80 != 0, let more = longName(at) { (length, start) = (more, at + 2) }
            guard length > 0, start + length <= memory.count else { return nil }
            return start..<start + length
        }

        /// Before 6.1 a length has 8 bits. Names that long do not occur there.
        private func longName(_ at: Int) -> Int? {
            let length = Int(memory[at] & 0x7F) | Int(memory[at + 1]) << 7
            return memory[at + 1] < 8 && length >= 0x80 ? length : nil
        }

        func symbols() -> [Symbol]? {
            (addresses(endingAt: countAt) ?? addressesBehindTokens()).map(named)
        }

        /// `count` words from `start` on, none smaller than the one before, and not the same again and again, as
        /// memory may be that is no table.
        private func ascending(_ start: Int) -> [UInt32]? {
            guard start >= 0, start + 4 * count <= memory.count else { return nil }
            var list: [UInt32] = []
            list.reserveCapacity(count)
            var previous: UInt32 = 0
            var different = 1
            for n in 0..<count {
                guard let value = word(start + 4 * n), value >= previous else { return nil }
                if n > 0, value != previous { different += 1 }
                list.append(value)
                previous = value
            }
            return different * 4 >= count ? list : nil
        }

        private static func isBase(_ word: UInt32) -> Bool { word >= 0x4000_0000 }

        private func relative(_ start: Int, base: UInt32) -> [UInt32]? {
            // Relative ones are small; plain ones are not.
            guard Self.isBase(base), let distances = ascending(start), !Self.isBase(distances.last ?? 0)
            else { return nil }
            return distances.map { base &+ $0 }
        }

        /// Before 6.4: the word before the number of symbols is the base, or the last of the plain ones.
        private func addresses(endingAt end: Int) -> [UInt32]? {
            guard let last = word(end - 4), Self.isBase(last) else { return nil }
            return relative(end - 4 - 4 * count, base: last) ?? ascending(end - 4 * count)
        }

        /// From 6.4 on: at a word's border behind the token index, then the base.
        private func addressesBehindTokens() -> [UInt32]? {
            let start = (tokensEnd + 3) & ~3
            for padding in stride(from: 0, through: 28, by: 4) {
                let first = start + padding
                if let base = word(first + 4 * count), let list = relative(first, base: base) { return list }
                if let lowest = word(first), Self.isBase(lowest), let list = ascending(first) { return list }
            }
            return nil
        }

        private func named(_ addresses: [UInt32]) -> [Symbol] {
            var result: [Symbol] = []
            result.reserveCapacity(count)
            var at = names
            for n in 0..<count {
                guard let codes = tokenBytes(at) else { break }
                var text: [UInt8] = []
                for token in memory[codes] { text += tokens[Int(token)] }
                at = codes.upperBound
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

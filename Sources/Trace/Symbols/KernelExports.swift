// SPDX-License-Identifier: Apache-2.0
//
// What a Linux kernel offers to its modules (EXPORT_SYMBOL), for when its own symbol table names code only, as
// distributions' kernels' do: among it are the variables that lead to the tasks. Nothing says where that list is. It
// is found by the name "init_task", to which one of its entries points; the others lie before and behind it.
//
// An entry is two or three words: the value, the name, from 5.4 on a namespace. Until 4.18 they are addresses, later
// distances from the word itself. All of this is the guest's, and may be anything.

import Support

public struct KernelExports {
    /// In the order of the list.
    public let symbols: [Symbol]

    private static let anchor = Array("init_task\0".utf8)
    /// A kernel with modules offers thousands; fewer than these are a coincidence.
    private static let fewest = 16
    private static let most = 1 << 16
    /// The list and the names are in one image (bytes).
    private static let reach = 32 << 20

    /// Looks through `memory`, whose first byte is at the guest-virtual address `linear`, a multiple of 4. Nil when
    /// there is no such list.
    public init?(in memory: [UInt8], linear: UInt32) {
        guard memory.count >= 64 else { return nil }
        // A few places are enough.
        var names: [Int] = []
        while names.count < 8,
            let name = memory.firstIndex(of: Self.anchor, from: names.last.map { $0 + 1 } ?? 0)
        {
            names.append(name)
        }
        let entries = memory.withUnsafeBufferPointer { bytes in
            names.flatMap(Image(bytes: bytes, linear: linear).lists).max { $0.count < $1.count }
        }
        // No two things are offered under one name.
        guard let entries, Set(entries.map(\.name)).count >= max(Self.fewest, entries.count * 9 / 10)
        else { return nil }
        symbols = entries
    }

    /// Those that `known` lacks, if the two agree about what both have; else none, since then one of them is wrong.
    public func missing(in known: [Symbol]) -> [Symbol] {
        var addresses: [String: [UInt32]] = [:]
        for symbol in known { addresses[symbol.name, default: []].append(symbol.address) }
        let both = symbols.filter { addresses[$0.name] != nil }
        let same = both.filter { addresses[$0.name]?.contains($0.address) ?? false }
        guard same.count >= Self.fewest, same.count * 20 >= both.count * 19 else { return [] }
        return symbols.filter { addresses[$0.name] == nil }
    }

    /// Memory with the ways of finding things in it.
    private struct Image {
        let bytes: UnsafeBufferPointer<UInt8>
        let linear: UInt32

        func word(_ at: Int) -> UInt32? {
            guard at >= 0, at <= bytes.count - 4 else { return nil }
            return UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16
                | UInt32(bytes[at + 3]) << 24
        }

        /// The lists with an entry whose name is at `name`.
        func lists(name: Int) -> [[Symbol]] {
            let start = max(4, name - KernelExports.reach) & ~3
            let end = min(bytes.count - 4, name + KernelExports.reach)
            let address = linear &+ UInt32(truncatingIfNeeded: name)
            var found: [[Symbol]] = []
            for at in stride(from: start, to: end, by: 4) where found.count < 16 {
                guard let value = word(at) else { break }
                let here = linear &+ UInt32(truncatingIfNeeded: at)
                if value == address { found += lists(entry: at - 4, isRelative: false) }
                if value == address &- here { found += lists(entry: at - 4, isRelative: true) }
            }
            return found
        }

        private func lists(entry: Int, isRelative: Bool) -> [[Symbol]] {
            [8, 12].map { size in
                var list: [Symbol] = []
                var at = entry
                while list.count < KernelExports.most, let symbol = symbol(at, isRelative) {
                    list.append(symbol)
                    at -= size
                }
                list.reverse()
                at = entry + size
                while list.count < KernelExports.most, let symbol = symbol(at, isRelative) {
                    list.append(symbol)
                    at += size
                }
                return list
            }
        }

        private func symbol(_ at: Int, _ isRelative: Bool) -> Symbol? {
            guard var value = word(at), var name = word(at + 4) else { return nil }
            if isRelative {
                let here = linear &+ UInt32(truncatingIfNeeded: at)
                value &+= here
                name &+= here &+ 4
            }
            guard value &- linear < UInt32(clamping: bytes.count), let text = identifier(Int(name &- linear))
            else { return nil }
            return Symbol(name: text, address: value)
        }

        /// The name at an index: what C calls an identifier.
        private func identifier(_ start: Int) -> String? {
            var at = start
            while at < bytes.count, at - start < 128 {
                let byte = bytes[at]
                if byte == 0 { break }
                let isLetter = byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte == 0x5F
                guard isLetter || at > start && byte >= 0x30 && byte <= 0x39 else { return nil }
                at += 1
            }
            guard at > start, at < bytes.count, bytes[at] == 0 else { return nil }
            return String(decoding: bytes[start..<at], as: UTF8.self)
        }
    }
}

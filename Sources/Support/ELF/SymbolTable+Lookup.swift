// SPDX-License-Identifier: Apache-2.0
//
// Asking the symbol table: from an address to a name, and back.

/// A place in the guest kernel, as kernel people write it: `load_ucode_intel_bsp+0x1a`.
public struct SymbolicAddress: Equatable, Sendable, CustomStringConvertible {
    public let symbol: Symbol
    /// Bytes from the symbol's start.
    public let offset: UInt32

    /// `name` at the start of the symbol, `name+0x1a` inside it.
    public var description: String {
        offset == 0 ? symbol.name : "\(symbol.name)+\(offset.asHex)"
    }
}

extension SymbolTable {
    /// The nearest symbol at or below `address`, which may be a linked (virtual) address or, as before
    /// the guest has page tables, the physical one of the same place. Nil outside the image.
    public func lookup(_ address: UInt32) -> SymbolicAddress? {
        guard let linked = linkedAddress(address), let entry = nearest(to: linked) else { return nil }
        return SymbolicAddress(symbol: symbol(entry), offset: linked - entry.address)
    }

    /// The place from which a call returns to `address`. A function that ends with a call of one that never returns has
    /// its return address behind its own end, where the next one begins.
    public func lookup(returnAddress address: UInt32) -> SymbolicAddress? {
        guard address > 0, let call = lookup(address - 1) else { return lookup(address) }
        return SymbolicAddress(symbol: call.symbol, offset: call.offset + 1)
    }

    /// The address of the first of `names` that there is a symbol for; kernels have renamed some.
    public func address(of names: [String]) -> UInt32? {
        names.lazy.compactMap { lookup(name: $0)?.address }.first
    }

    /// The symbol called `name`, or nil. Symbols that are plain numbers are found too. Compares with each
    /// name in turn (a millisecond for a kernel): not for hot paths.
    public func lookup(name: String) -> Symbol? {
        let wanted = Array(name.utf8)
        guard !wanted.contains(0) else { return nil }
        let matches = { (entry: Entry) in
            let start = Int(entry.name)
            let end = start + wanted.count
            // `end` must be inside: there stands the zero byte that ends the name.
            return end < names.count && names[end] == 0 && names[start..<end].elementsEqual(wanted)
        }
        return (entries.first(where: matches) ?? absolutes.first(where: matches)).map(symbol)
    }

    /// The address of the nearest symbol at or below `address`: what `lookup` finds, without its name.
    public func start(at address: UInt32) -> UInt32? {
        guard let linked = linkedAddress(address) else { return nil }
        return nearest(to: linked)?.address
    }

    /// From the lowest symbol to the highest; nil when there are none.
    public var addresses: ClosedRange<UInt32>? {
        guard let first = entries.first, let last = entries.last else { return nil }
        return first.address...last.address
    }

    /// Where the byte with the linked (virtual) address `linked` is loaded (GPA); nil outside the image.
    public func loadAddress(_ linked: UInt32) -> UInt32? {
        guard let placement = placements.first(where: { $0.virtualRange.contains(UInt64(linked)) }) else {
            return nil
        }
        return UInt32(exactly: placement.physicalStart + UInt64(linked) - placement.virtualRange.lowerBound)
    }

    /// By how much linked addresses are above those where the image is loaded: a kernel's PAGE_OFFSET. Nil where that
    /// is not known.
    public var linkOffset: UInt32? {
        placements.first { $0.virtualRange.lowerBound > $0.physicalStart }.flatMap {
            UInt32(exactly: $0.virtualRange.lowerBound - $0.physicalStart)
        }
    }

    /// The virtual address of the place that `address` means, or nil when it is not in the image.
    /// Linked addresses win: where both readings are possible, physical ones are only meant below
    /// the image, before paging.
    private func linkedAddress(_ address: UInt32) -> UInt32? {
        let address = UInt64(address)
        if placements.contains(where: { $0.virtualRange.contains(address) }) { return UInt32(address) }
        for placement in placements {
            guard address >= placement.physicalStart else { continue }
            let offset = address - placement.physicalStart
            if offset < UInt64(placement.virtualRange.count) {
                return UInt32(exactly: placement.virtualRange.lowerBound + offset)
            }
        }
        return nil
    }

    /// The entry with the highest address that is not above `address`; among those of one
    /// address the one of the lowest rank.
    private func nearest(to address: UInt32) -> Entry? {
        var best = firstIndex(above: address) - 1
        guard best >= 0 else { return nil }
        while best > 0 && entries[best - 1].address == entries[best].address { best -= 1 }
        return entries[best]
    }

    /// Index of the first entry whose address is greater than `address`.
    private func firstIndex(above address: UInt32) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = low + (high - low) / 2
            if entries[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func symbol(_ entry: Entry) -> Symbol {
        let bytes = names[Int(entry.name)...].prefix { $0 != 0 }
        // Names come from a file: what is not UTF-8 is repaired, control characters are replaced.
        return Symbol(
            name: String(decoding: bytes, as: UTF8.self).asOneLine, address: entry.address, size: entry.size)
    }
}

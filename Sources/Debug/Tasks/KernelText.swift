// SPDX-License-Identifier: Apache-2.0
//
// Where a kernel has its code: between two pairs of symbols that Linux's linker script defines. One pair holds what
// stays, the other one what a kernel only has while it starts, and both lie far apart.

import Support

public struct KernelText: Equatable, Sendable {
    /// Guest-virtual addresses, each range behind the one before; empty where the symbols do not say.
    public private(set) var ranges: [Range<UInt32>] = []

    public init(_ symbols: SymbolTable) {
        for (starts, end) in [(["_text", "_stext"], "_etext"), (["_sinittext"], "_einittext")] {
            if let start = symbols.address(of: starts), let end = symbols.lookup(name: end)?.address,
                start < end
            {
                ranges.append(start..<end)
            }
        }
    }

    public init(_ range: Range<UInt32>) { ranges = [range] }

    public var isKnown: Bool { !ranges.isEmpty }

    public func contains(_ address: UInt32) -> Bool { ranges.contains { $0.contains(address) } }
}

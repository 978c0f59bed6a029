// SPDX-License-Identifier: Apache-2.0
//
// Numbers that look random and can be made again on the other side: what the checks of devices write, and how
// they sum up what they read. Tests on the host have the same few lines.

/// Marsaglia's xorshift with 32 bits.
struct Random {
    private var state: UInt32

    init(seed: UInt32) { state = seed == 0 ? 1 : seed }

    mutating func next() -> UInt32 {
        state ^= state << 13
        state ^= state >> 17
        state ^= state << 5
        return state
    }

    /// A number below `limit`.
    mutating func below(_ limit: UInt32) -> UInt32 { next() % max(limit, 1) }
}

/// The FNV-1a hash with 32 bits, of bytes in order.
struct Sum {
    private(set) var value: UInt32 = 0x811C_9DC5

    mutating func add(_ byte: UInt8) { value = (value ^ UInt32(byte)) &* 0x0100_0193 }

    mutating func add(_ address: VirtualAddress, count: UInt32) {
        var hash = value
        for offset in 0..<count { hash = (hash ^ UInt32(Memory.read8(address + offset))) &* 0x0100_0193 }
        value = hash
    }

    /// Four bytes at a time, as little-endian words: for disks, which are always whole words.
    mutating func addWords(_ address: VirtualAddress, count: UInt32) {
        var hash = value
        for word in 0..<count / 4 { hash = (hash ^ Memory.read32(address + word * 4)) &* 0x0100_0193 }
        value = hash
    }
}

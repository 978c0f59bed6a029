// SPDX-License-Identifier: Apache-2.0
//
// The configuration bytes of one PCI function, and which of their bits a guest may change. A base
// address register needs nothing more: with its low bits fixed at zero, the guest's "write all ones,
// read back" finds the size by itself.

/// The configuration space of one function: `length` bytes, little-endian.
struct PCIConfigSpace {
    /// Bytes that exist; the data register answers ones behind them (lguest ABI 9.1).
    static let length = 0x98

    private(set) var bytes = [UInt8](repeating: 0, count: length)
    private var writable = [UInt8](repeating: 0, count: length)

    /// Sets bytes that the guest may read but not change.
    mutating func define(_ value: UInt64, at offset: Int, width: Int) {
        bytes.setLittleEndian(value, at: offset, width: width)
    }

    /// Lets the guest change the bits of `mask` in the `width` bytes at `offset`.
    mutating func allowWrites(mask: UInt64, at offset: Int, width: Int) {
        writable.setLittleEndian(mask, at: offset, width: width)
    }

    /// Reads `width` bytes; those behind the end are ones.
    func read(at offset: Int, width: Int) -> UInt64 {
        bytes.littleEndian(at: offset, width: width)
    }

    /// What the guest writes: only the bits that it may change are taken.
    mutating func write(_ value: UInt64, at offset: Int, width: Int) {
        for index in 0..<width where bytes.indices.contains(offset + index) {
            let mask = writable[offset + index]
            let new = Access.byte(index, of: value)
            bytes[offset + index] = (bytes[offset + index] & ~mask) | (new & mask)
        }
    }
}

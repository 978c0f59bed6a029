// SPDX-License-Identifier: Apache-2.0
//
// Memory behind linear addresses that the flat tables have in one piece, for what is done so often that byte by byte
// would be slow.

extension CPU {
    /// Host address of `count` bytes at linear address `address`, at most a page, if they lie in one page that has an
    /// entry in `table`.
    func plainMemory(
        _ address: UInt32, _ count: UInt32, in table: UnsafeMutablePointer<UInt>
    ) -> UnsafeMutableRawPointer? {
        guard address & 0xFFF <= 0x1000 - count else { return nil }
        // SAFETY: the tables have an entry for each of the 2^20 pages.
        let entry = table[Int(address >> 12)]
        return entry == 0 ? nil : UnsafeMutableRawPointer(bitPattern: entry &+ UInt(address))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// FXSAVE and FXRSTOR where the image lies in one page of plain memory: kernels do one of each when they switch between
// programs.

extension CPU {
    /// Host address of `count` bytes at linear address `address`, if the flat tables have them in one piece.
    private func plainMemory(_ address: UInt32, _ count: UInt32, write: Bool) -> UnsafeMutableRawPointer? {
        guard address & 0xFFF <= 0x1000 - count, !write || owner.rehearsal == nil else { return nil }
        let table = write ? system.writeTable : system.readTable
        // SAFETY: the tables have an entry for each of the 2^20 pages.
        let entry = table[Int(address >> 12)]
        return entry == 0 ? nil : UnsafeMutableRawPointer(bitPattern: entry &+ UInt(address))
    }

    /// Stores the image; false, with nothing done, where it does not lie in plain memory.
    func storeImage(_ address: UInt32) -> Bool {
        guard let memory = plainMemory(address, 512, write: true) else { return false }
        // SAFETY: 512 bytes are there; the area has as many.
        withUnsafeBytes(of: system.fpu.area) {
            memory.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: 288)
        }
        return true
    }

    /// The image's words, or nil where it does not lie in plain memory.
    func loadImage(_ address: UInt32) -> InlineArray<36, UInt64>? {
        guard let memory = plainMemory(address, 512, write: false) else { return nil }
        // SAFETY: as above.
        return memory.loadUnaligned(as: InlineArray<36, UInt64>.self)
    }
}

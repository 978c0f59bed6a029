// SPDX-License-Identifier: Apache-2.0
//
// FXSAVE and FXRSTOR where the image lies in one page of plain memory: kernels do one of each when they switch between
// programs.

extension CPU {
    /// Stores the image; false, with nothing done, where it does not lie in plain memory.
    func storeImage(_ address: UInt32) -> Bool {
        guard owner.rehearsal == nil, let memory = plainMemory(address, 512, in: system.writeTable)
        else { return false }
        // SAFETY: 512 bytes are there; the area has as many.
        withUnsafeBytes(of: system.fpu.area) {
            memory.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: CPU.imageWords * 8)
        }
        return true
    }

    /// The image's words, or nil where it does not lie in plain memory.
    func loadImage(_ address: UInt32) -> InlineArray<36, UInt64>? {
        guard let memory = plainMemory(address, 512, in: system.readTable) else { return nil }
        // SAFETY: as above.
        return memory.loadUnaligned(as: InlineArray<36, UInt64>.self)
    }
}

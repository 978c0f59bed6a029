// SPDX-License-Identifier: Apache-2.0
//
// Reads files straight into guest memory, without a copy in between.

import GuestMemory
import Support

extension GuestMemory {
    /// Fills `count` bytes at the GPA `address` from `file`, beginning at `offset` of it.
    /// Throws `.badInput` when the file cannot give them or guest memory has no room.
    func fill(
        at address: UInt64, count: UInt64, from file: InputFile, offset: UInt64
    ) throws(LguestError) {
        guard count > 0 else { return }
        let failure: LguestError?
        do throws(GuestMemoryError) {
            // SAFETY: withBytes has checked the range; `fill` writes only inside the buffer it is given
            // and keeps no pointer to it.
            failure = try withBytes(address, count: Int(clamping: count), forWriting: true) { buffer in
                file.fill(buffer, from: offset)
            }
        } catch {
            throw Self.noRoom(address, count, file.name)
        }
        if let failure { throw failure }
    }

    /// Copies `bytes` to the GPA `address`. Throws `.badInput` when guest memory has no room.
    func store(_ bytes: [UInt8], at address: UInt64) throws(LguestError) {
        do throws(GuestMemoryError) {
            try writeBytes(bytes, at: address)
        } catch {
            throw Self.noRoom(address, UInt64(bytes.count), "boot parameters")
        }
    }

    private static func noRoom(_ address: UInt64, _ count: UInt64, _ name: String) -> LguestError {
        LguestError(
            .badInput, "\(name): \(count.asByteCount) at \(address.asHex) do not fit into the guest's memory")
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Why guest-physical memory could not be provided or reached.
public enum GuestMemoryError: Error, Equatable, Sendable {
    /// The host did not give the memory; `errno` is the host's reason.
    case cannotAllocate(bytes: UInt64, errno: Int32)
    /// A size of zero, not a multiple of 4096 bytes, or above 4 GiB.
    case badSize(bytes: UInt64)
    /// `[address, address + length)` is not inside `[0, size)`.
    case outOfRange(address: UInt64, length: UInt64)
}

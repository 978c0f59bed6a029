// SPDX-License-Identifier: Apache-2.0
//
// Numbers as they travel: the highest byte first; and the Internet's checksum (RFC 1071).

enum Wire {
    static func read16(_ address: VirtualAddress) -> UInt16 { Memory.read16(address).byteSwapped }
    static func read32(_ address: VirtualAddress) -> UInt32 { Memory.read32(address).byteSwapped }
    static func write16(_ address: VirtualAddress, _ value: UInt16) {
        Memory.write16(address, value.byteSwapped)
    }
    static func write32(_ address: VirtualAddress, _ value: UInt32) {
        Memory.write32(address, value.byteSwapped)
    }
    static func readMAC(_ address: VirtualAddress) -> MAC {
        MAC(high: read16(address), low: read32(address + 2))
    }
    static func writeMAC(_ address: VirtualAddress, _ mac: MAC) {
        write16(address, mac.high)
        write32(address + 2, mac.low)
    }

    /// The sum of `count` bytes as big-endian words, on top of `start`; not folded.
    static func sum(_ address: VirtualAddress, _ count: UInt32, from start: UInt32 = 0) -> UInt32 {
        // Words are added as they lie in memory; a sum of swapped words is the swapped sum.
        var low: UInt32 = 0
        var at: UInt32 = 0
        while at + 1 < count {
            low &+= UInt32(Memory.read16(address + at))
            at += 2
        }
        if at < count { low &+= UInt32(Memory.read8(address + at)) }
        return start &+ UInt32(fold(low).byteSwapped)
    }

    static func fold(_ sum: UInt32) -> UInt16 {
        let once = (sum >> 16) + (sum & 0xFFFF)
        return UInt16(truncatingIfNeeded: (once >> 16) + (once & 0xFFFF))
    }

    /// The part of a TCP or UDP checksum that covers addresses, protocol and length.
    static func pseudoSum(_ from: UInt32, _ to: UInt32, protocol number: UInt32, length: UInt32) -> UInt32 {
        (from >> 16) + (from & 0xFFFF) + (to >> 16) + (to & 0xFFFF) + number + length
    }
}

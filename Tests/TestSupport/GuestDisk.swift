// SPDX-License-Identifier: Apache-2.0
//
// What the built-in guest writes to disks (Guests/Sources/BuiltinGuest/Devices), made again on the host.

import Foundation

public enum GuestDisk {
    public static let sector = 512

    /// Marsaglia's xorshift, as the guest has it.
    public struct Random {
        var state: UInt32

        public init(seed: UInt32) { state = seed }

        public mutating func next() -> UInt32 {
            state ^= state << 13
            state ^= state >> 17
            state ^= state << 5
            return state
        }

        public mutating func below(_ limit: UInt32) -> UInt32 { next() % limit }
    }

    /// A sector after its write number `version`; 0: as the test makes it.
    public static func contents(_ sector: UInt32, version: UInt32, seed: UInt32) -> [UInt8] {
        var word = seed ^ sector &* 0x9E37_79B1 ^ version &* 0x85EB_CA6B
        return (0..<128).flatMap { _ in
            word = word &* 0x0019_660D &+ 0x3C6E_F35F
            return (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
    }

    /// A disk of `sectors` sectors that nobody has written to.
    public static func fresh(sectors: UInt32, seed: UInt32) -> Data {
        Data((0..<sectors).flatMap { contents($0, version: 0, seed: seed) })
    }

    /// The guest's sum of a disk: FNV-1a over little-endian words.
    public static func sum(_ bytes: [UInt8]) -> String {
        var hash: UInt32 = 0x811C_9DC5
        for at in stride(from: 0, to: bytes.count - 3, by: 4) {
            let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
            hash = (hash ^ word) &* 0x0100_0193
        }
        return "0x" + String(hash, radix: 16)
    }

    /// For each sector the versions that it may have when an lguest was killed after `disk journal` had said that
    /// `flushed` rounds are safe: what the last of them left, or what the one after them writes.
    public static func journal(sectors: UInt32, seed: UInt32, flushed: Int) -> [[UInt32]] {
        var allowed = [[UInt32]](repeating: [0], count: Int(sectors))
        var random = Random(seed: seed)
        var version: UInt32 = 1
        let region = sectors / 8
        for round in 0...flushed {
            for slot in 0..<UInt32(8) {
                let count = 1 + random.below(min(16, region))
                let start = slot * region + random.below(region - count + 1)
                for number in Int(start)..<Int(start + count) {
                    allowed[number] = round < flushed ? [version] : allowed[number] + [version]
                }
                version += 1
            }
        }
        return allowed
    }

    /// What a guest reads from an image under an overlay file (ARCHITECTURE, `OverlayImage`).
    public static func merged(image: [UInt8], overlay: [UInt8]) -> [UInt8] {
        var bytes = image
        let clusters = (image.count + 4095) / 4096
        // Header page, bitmap in whole pages, clusters.
        let start = 4096 + ((clusters + 7) / 8 + 4095) / 4096 * 4096
        for cluster in 0..<clusters where overlay[4096 + cluster / 8] & 1 << (cluster % 8) != 0 {
            let range = cluster * 4096..<min((cluster + 1) * 4096, image.count)
            bytes.replaceSubrange(range, with: overlay[start + range.lowerBound..<start + range.upperBound])
        }
        return bytes
    }
}

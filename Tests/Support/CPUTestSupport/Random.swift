// SPDX-License-Identifier: Apache-2.0
//
// Random numbers that are the same in every run: a failing case is named by its seed.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
public struct Random: Sendable {
    private var state: UInt64

    /// The seed goes through the mixer first: numbers next to each other must not give the same sequence, shifted.
    public init(seed: UInt64) {
        state = seed &+ 0x1234_5678
        state = next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// A number in `0..<bound`.
    public mutating func below(_ bound: Int) -> Int { Int(next() >> 33) % max(bound, 1) }
    public mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }
    /// True in `percent` of 100 cases.
    public mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    public mutating func word() -> UInt32 { UInt32(truncatingIfNeeded: next() >> 16) }
    public mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next() >> 24) }
    public mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    private static let edges: [UInt32] = [
        0, 1, 2, 3, 7, 8, 9, 0xF, 0x10, 0x1F, 0x20, 0x21, 0x3F, 0x40, 0x63, 0x7E, 0x7F, 0x80, 0x81, 0x99,
        0x9A, 0xFE,
        0xFF, 0x100, 0x101, 0x7FFE, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF, 0x1_0000, 0x1_0001, 0x7FFF_FFFE,
        0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_7FFF, 0xFFFF_8000, 0xFFFF_FF7F, 0xFFFF_FF80,
        0xFFFF_FFFE,
        0xFFFF_FFFF,
    ]

    /// A 32-bit value, with a liking for those where carries, signs and widths end.
    public mutating func value() -> UInt32 {
        switch below(8) {
        case 0, 1, 2: pick(Random.edges)
        case 3: UInt32(below(256))
        case 4: 1 << UInt32(below(32))
        case 5: word() & 0xFFFF | pick(Random.edges) << 16
        default: word()
        }
    }
}

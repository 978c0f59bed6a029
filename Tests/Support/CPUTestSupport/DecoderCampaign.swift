// SPDX-License-Identifier: Apache-2.0
//
// Random and mutated bytes for the comparison of decoders.

import X86

public struct DecoderSummary: Sendable {
    public var strings = 0
    public var instructions = 0
    public var refusedByBoth = 0
    public var intended = 0
    /// Bytes and what differs, at most one for each opcode and kind of difference.
    public var differences: [(bytes: [UInt8], code32: Bool, what: String)] = []
}

public enum DecoderCampaign {
    /// Byte strings that begin with an opcode, evenly over the maps, with some prefixes; the rest random.
    public static func run(seed: UInt64, count: Int, stopAfter: Int = 40) -> DecoderSummary {
        var random = Random(seed: seed)
        var summary = DecoderSummary()
        let judge = ZydisJudge()
        var bytes = [UInt8](repeating: 0, count: 16)
        var seen: Set<String> = []
        for _ in 0..<count {
            fill(&bytes, &random)
            let code32 = random.next() & 7 != 0
            summary.strings += 1
            switch bytes.withUnsafeBufferPointer({ judge.judge($0, code32: code32) }) {
            case .same(true): summary.instructions += 1
            case .same(false): summary.refusedByBoth += 1
            case .intended: summary.intended += 1
            case .different(let what):
                guard seen.insert(what).inserted else { continue }
                summary.differences.append((bytes, code32, what))
                if summary.differences.count >= stopAfter { return summary }
            }
        }
        return summary
    }

    private static let prefixes: [UInt8] = [
        0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65,
    ]

    private static func fill(_ bytes: inout [UInt8], _ random: inout Random) {
        let (a, b) = (random.next(), random.next())
        for n in 0..<8 {
            bytes[n] = UInt8(truncatingIfNeeded: a >> UInt64(8 * n))
            bytes[8 + n] = UInt8(truncatingIfNeeded: b >> UInt64(8 * n))
        }
        let choice = random.next()
        var position = 0
        // None for half of them, else one to four, seldom up to fourteen.
        var prefixCount = choice & 1 == 0 ? 0 : Int(choice >> 1 & 3) + 1
        if choice >> 8 & 0xFF == 0 { prefixCount = Int(choice >> 3 & 7) + 7 }
        var pick = random.next()
        while position < prefixCount {
            bytes[position] = prefixes[Int(pick % 11)]
            pick /= 11
            if pick == 0 { pick = random.next() }
            position += 1
        }
        switch choice >> 16 & 7 {
        case 0, 1, 2: bytes[position] = 0x0F
        case 3:
            bytes[position] = 0x0F
            bytes[position + 1] = choice >> 20 & 1 == 0 ? 0x38 : 0x3A
        default: break
        }
    }
}

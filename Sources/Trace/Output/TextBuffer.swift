// SPDX-License-Identifier: Apache-2.0
//
// Text in the making, as bytes: traces write millions of small pieces, for which strings are too slow.

struct TextBuffer {
    private(set) var bytes: [UInt8] = []

    var count: Int { bytes.count }
    var isEmpty: Bool { bytes.isEmpty }

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func clear() { bytes.removeAll(keepingCapacity: true) }

    mutating func put(_ byte: UInt8) { bytes.append(byte) }

    mutating func put(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ text: [UInt8]) { bytes.append(contentsOf: text) }

    mutating func put(string text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func put(decimal value: UInt64, width: Int = 0) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var count = 0
        var rest = value
        repeat {
            digits[count] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
            rest /= 10
            count += 1
        } while rest != 0
        for _ in 0..<max(0, width - count) { bytes.append(0x30) }
        while count > 0 {
            count -= 1
            bytes.append(digits[count])
        }
    }

    /// With `0x`, and at least `width` digits.
    mutating func put(hex value: UInt64, width: Int = 1) {
        put("0x")
        var shift = 60
        while shift > 0 && value >> UInt64(shift) == 0 && shift >= 4 * width { shift -= 4 }
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift) & 15)
            bytes.append(digit < 10 ? digit &+ 0x30 : digit &+ 0x57)
            shift -= 4
        }
    }

    /// Blanks up to `column`, counted from `start`; at least `minimum`.
    mutating func pad(to column: Int, from start: Int, minimum: Int = 2) {
        let missing = max(minimum, column - (bytes.count - start))
        for _ in 0..<missing { bytes.append(0x20) }
    }

    /// `text` as a JSON string, with its quotes.
    mutating func put(jsonString text: [UInt8]) {
        put(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                put(UInt8(ascii: "\\"))
                put(byte)
            case 0..<0x20:
                put("\\u00")
                put(byte < 16 ? "0" : "1")
                let low = byte & 15
                put(low < 10 ? low &+ 0x30 : low &+ 0x57)
            default: put(byte)
            }
        }
        put(UInt8(ascii: "\""))
    }

    mutating func put(jsonString text: String) { put(jsonString: Array(text.utf8)) }
}

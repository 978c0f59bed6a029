// SPDX-License-Identifier: Apache-2.0
//
// A line of text without a heap: up to 200 characters in place, longer ones are cut. It takes string literals
// with interpolation, so messages read as usual: `Text("cr2 \(hex: address), \(count) pages")`.

// The functions behind interpolation are @inline(never): there are hundreds of messages, and each would
// repeat them.

struct Text: ExpressibleByStringInterpolation {
    static let capacity = 200

    private(set) var bytes = InlineArray<200, UInt8>(repeating: 0)
    private(set) var count = 0

    init() {}
    @inline(never) init(stringLiteral literal: StaticString) { append(literal: literal) }
    init(stringInterpolation: Interpolation) { self = stringInterpolation.text }

    subscript(position: Int) -> UInt8 { bytes[position] }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ byte: UInt8) {
        guard count < Text.capacity else { return }
        bytes[count] = byte
        count += 1
    }

    mutating func append(_ text: Text) {
        for position in 0..<text.count { append(text[position]) }
    }

    mutating func removeLast() {
        if count > 0 { count -= 1 }
    }

    mutating func removeAll() { count = 0 }

    static func == (text: Text, word: StaticString) -> Bool {
        text.count == word.utf8CodeUnitCount && text.hasPrefix(word)
    }

    /// The part from `start` up to, and without, `end`.
    func part(from start: Int, to end: Int) -> Text {
        var result = Text()
        for position in start..<max(start, min(end, count)) { result.append(bytes[position]) }
        return result
    }

    func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
        for position in min(start, count)..<count where bytes[position] == byte { return position }
        return nil
    }

    func trimmed() -> Text {
        var start = 0
        var end = count
        while start < end, bytes[start] <= 0x20 { start += 1 }
        while end > start, bytes[end - 1] <= 0x20 { end -= 1 }
        return part(from: start, to: end)
    }

    /// The decimal number that this text is, if it is one.
    var number: UInt32? {
        guard count > 0, count < 10 else { return nil }
        var value: UInt32 = 0
        for position in 0..<count {
            let digit = bytes[position]
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            value = value &* 10 &+ UInt32(digit - 0x30)
        }
        return value
    }
}

// MARK: - Interpolation

extension Text {
    struct Interpolation: StringInterpolationProtocol {
        var text = Text()

        init(literalCapacity: Int, interpolationCount: Int) {}

        @inline(never) mutating func appendLiteral(_ literal: StaticString) { text.append(literal: literal) }
        @inline(never) mutating func appendInterpolation(_ word: StaticString) { text.append(literal: word) }
        @inline(never) mutating func appendInterpolation(_ other: Text) { text.append(other) }

        /// A word padded with blanks on the right, for columns.
        @inline(never) mutating func appendInterpolation(_ word: StaticString, width: Int) {
            text.append(literal: word)
            for _ in 0..<max(0, width - word.utf8CodeUnitCount) { text.append(0x20) }
        }

        /// A decimal number, padded with blanks on the left.
        @inline(never) mutating func appendInterpolation(_ number: UInt32, width: Int = 0) {
            appendDecimal(UInt64(number), width: width, padding: 0x20)
        }

        @inline(never) mutating func appendInterpolation(_ number: UInt64, width: Int = 0) {
            appendDecimal(number, width: width, padding: 0x20)
        }

        /// A decimal number, padded with zeros on the left.
        @inline(never) mutating func appendInterpolation(zeros number: UInt32, width: Int) {
            appendDecimal(UInt64(number), width: width, padding: 0x30)
        }

        @inline(never) mutating func appendInterpolation(hex number: UInt32) {
            text.append(literal: "0x")
            var shift: UInt32 = 28
            while shift > 0, (number >> shift) & 0xF == 0 { shift -= 4 }
            while true {
                let digit = UInt8(truncatingIfNeeded: (number >> shift) & 0xF)
                text.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
                if shift == 0 { break }
                shift -= 4
            }
        }

        @inline(never) private mutating func appendDecimal(_ number: UInt64, width: Int, padding: UInt8) {
            var digits = InlineArray<20, UInt8>(repeating: 0)
            var count = 0
            var rest = number
            repeat {
                digits[count] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
                count += 1
            } while rest != 0
            for _ in 0..<max(0, width - count) { text.append(padding) }
            while count > 0 {
                count -= 1
                text.append(digits[count])
            }
        }
    }
}

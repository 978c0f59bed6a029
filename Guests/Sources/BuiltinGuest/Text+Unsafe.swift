// SPDX-License-Identifier: Apache-2.0
//
// The two places where Text looks into a string literal.
//
// Safety: a literal's bytes live in .rodata for ever, and `withUTF8Buffer` gives their exact bounds.

extension Text {
    @inline(never) mutating func append(literal: StaticString) {
        literal.withUTF8Buffer { buffer in
            for byte in buffer { append(byte) }
        }
    }

    func hasPrefix(_ word: StaticString) -> Bool {
        word.withUTF8Buffer { buffer in
            guard buffer.count <= count else { return false }
            for position in 0..<buffer.count where buffer[position] != bytes[position] { return false }
            return true
        }
    }
}

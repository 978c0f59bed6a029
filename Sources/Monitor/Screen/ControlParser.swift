// SPDX-License-Identifier: Apache-2.0
//
// Cuts a terminal's input into characters, controls and sequences. The bytes are the guest's, so every length is
// limited and nothing is kept of what makes no sense.

/// `ESC [ marker parameters final`.
struct ControlSequence: Equatable {
    /// `?`, `>`, `<`, `=`, or 0.
    var marker: UInt8 = 0
    var parameters: [Int] = []
    var final: UInt8 = 0

    /// 0 where it is left out.
    func parameter(_ index: Int) -> Int { index < parameters.count ? parameters[index] : 0 }

    /// A parameter for which 0 means 1.
    func count(_ index: Int) -> Int { max(1, parameter(index)) }
}

struct ControlParser {
    enum Event: Equatable {
        case character(Unicode.Scalar)
        case control(UInt8)
        case escape(UInt8)
        case sequence(ControlSequence)
    }

    private enum State { case text, escape, skipOne, sequence, string, stringEscape }

    private static let parameterLimit = 16
    private static let valueLimit = 9999
    private var state = State.text
    private var sequence = ControlSequence()
    private var value: Int?
    /// UTF-8: the scalar so far and how many bytes are missing.
    private var scalar: UInt32 = 0
    private var missing = 0

    mutating func take(_ byte: UInt8) -> Event? {
        switch state {
        case .text: return takeText(byte)
        case .escape: return takeEscape(byte)
        case .skipOne:
            state = .text
            return nil
        case .sequence: return takeSequence(byte)
        case .string:
            // Titles and the like, up to BEL or ESC \.
            if byte == 7 || byte == 0x18 { state = .text }
            if byte == 0x1B { state = .stringEscape }
            return nil
        case .stringEscape:
            state = byte == UInt8(ascii: "\\") ? .text : .string
            return nil
        }
    }

    private mutating func takeText(_ byte: UInt8) -> Event? {
        if byte == 0x1B {
            (state, missing) = (.escape, 0)
            return nil
        }
        if byte < 0x20 || byte == 0x7F {
            missing = 0
            return byte == 0x7F ? nil : .control(byte)
        }
        if byte < 0x80 {
            missing = 0
            return .character(Unicode.Scalar(byte))
        }
        return takeUTF8(byte)
    }

    private mutating func takeUTF8(_ byte: UInt8) -> Event? {
        if byte & 0xC0 == 0x80 {
            guard missing > 0 else { return .character("\u{FFFD}") }
            scalar = scalar << 6 | UInt32(byte & 0x3F)
            missing -= 1
            return missing == 0 ? .character(Unicode.Scalar(scalar) ?? "\u{FFFD}") : nil
        }
        switch byte {
        case 0xC2...0xDF: (scalar, missing) = (UInt32(byte & 0x1F), 1)
        case 0xE0...0xEF: (scalar, missing) = (UInt32(byte & 0x0F), 2)
        case 0xF0...0xF4: (scalar, missing) = (UInt32(byte & 0x07), 3)
        default:
            missing = 0
            return .character("\u{FFFD}")
        }
        return nil
    }

    private mutating func takeEscape(_ byte: UInt8) -> Event? {
        state = .text
        switch byte {
        case UInt8(ascii: "["):
            (state, sequence, value) = (.sequence, ControlSequence(), nil)
        case UInt8(ascii: "]"), UInt8(ascii: "P"), UInt8(ascii: "X"), UInt8(ascii: "^"), UInt8(ascii: "_"):
            state = .string
        // Character sets and widths: one more byte.
        case 0x20...0x2F: state = .skipOne
        case 0x1B: state = .escape
        case 0x30...0x7E: return .escape(byte)
        default: return byte < 0x20 ? .control(byte) : nil
        }
        return nil
    }

    private mutating func takeSequence(_ byte: UInt8) -> Event? {
        switch byte {
        case 0x30...0x39: value = min(Self.valueLimit, (value ?? 0) * 10 + Int(byte - 0x30))
        case UInt8(ascii: ";"), UInt8(ascii: ":"): endParameter()
        case 0x3C...0x3F: sequence.marker = byte
        case 0x20...0x2F: break
        case 0x40...0x7E:
            if value != nil { endParameter() }
            sequence.final = byte
            state = .text
            return .sequence(sequence)
        case 0x1B: state = .escape
        case 0x18, 0x1A: state = .text
        // Controls inside a sequence take effect at once.
        default: return byte < 0x20 ? .control(byte) : nil
        }
        return nil
    }

    private mutating func endParameter() {
        if sequence.parameters.count < Self.parameterLimit { sequence.parameters.append(value ?? 0) }
        value = nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The framing of gdb's remote protocol (gdb manual, appendix "Remote Protocol"): `$data#checksum`, `+` and `-` for
// received well or badly, the byte 3 for Ctrl-C.

/// What arrives from a debugger.
enum Incoming: Equatable {
    case packet([UInt8])
    /// Ctrl-C.
    case interrupt
    case acknowledge
    /// The last packet did not arrive well: it is to be sent again.
    case resend
    /// A packet whose checksum is wrong.
    case damaged
}

/// Cuts a stream of bytes into packets.
struct PacketReader {
    /// A packet that is longer is no packet.
    static let limit = 1 << 16

    private enum State { case outside, inside, escaped, firstDigit, secondDigit }
    private var state = State.outside
    private var data: [UInt8] = []
    private var sum: UInt8 = 0
    private var digit: UInt8 = 0

    /// What the next byte completes, if anything.
    mutating func take(_ byte: UInt8) -> Incoming? {
        switch state {
        case .outside: return takeOutside(byte)
        case .inside, .escaped:
            takeInside(byte)
            if data.count > Self.limit { state = .outside }
            return nil
        case .firstDigit:
            digit = byte
            state = .secondDigit
            return nil
        case .secondDigit:
            state = .outside
            return Hex.byte(digit, byte) == sum ? .packet(data) : .damaged
        }
    }

    private mutating func takeOutside(_ byte: UInt8) -> Incoming? {
        switch byte {
        case UInt8(ascii: "$"):
            (state, data, sum) = (.inside, [], 0)
            return nil
        case 3: return .interrupt
        case UInt8(ascii: "+"): return .acknowledge
        case UInt8(ascii: "-"): return .resend
        default: return nil
        }
    }

    private mutating func takeInside(_ byte: UInt8) {
        if state == .escaped {
            data.append(byte ^ 0x20)
            state = .inside
        } else if byte == UInt8(ascii: "#") {
            state = .firstDigit
            return
        } else if byte == UInt8(ascii: "$") {
            (data, sum) = ([], 0)
            return
        } else if byte == UInt8(ascii: "}") {
            state = .escaped
        } else {
            data.append(byte)
        }
        sum &+= byte
    }
}

enum PacketWriter {
    /// The packet that carries `data`.
    static func frame(_ data: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [UInt8(ascii: "$")]
        result.reserveCapacity(data.count + 8)
        for byte in data {
            switch byte {
            case UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "}"), UInt8(ascii: "*"):
                result += [UInt8(ascii: "}"), byte ^ 0x20]
            default: result.append(byte)
            }
        }
        let sum = result.dropFirst().reduce(UInt8(0), &+)
        return result + [UInt8(ascii: "#")] + Array(Hex.text([sum]).utf8)
    }
}

/// Bytes as pairs of hexadecimal digits.
enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    static func text(_ bytes: some Sequence<UInt8>) -> String {
        var result: [UInt8] = []
        for byte in bytes { result += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: result, as: UTF8.self)
    }

    static func byte(_ high: UInt8, _ low: UInt8) -> UInt8? {
        guard let high = digit(high), let low = digit(low) else { return nil }
        return high << 4 | low
    }

    /// Nil when `text` is not all pairs of digits.
    static func bytes(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 2 == 0 else { return nil }
        var result: [UInt8] = []
        var high: UInt8?
        for character in text {
            guard let first = high else {
                high = character
                continue
            }
            guard let byte = byte(first, character) else { return nil }
            result.append(byte)
            high = nil
        }
        return result
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

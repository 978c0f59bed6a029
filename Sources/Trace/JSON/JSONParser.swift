// SPDX-License-Identifier: Apache-2.0
//
// Reads JSON that may come from anywhere: nesting and numbers are bounded, and what is not JSON is refused
// with the place where that shows.

/// Why a text is no JSON.
struct JSONError: Error, Equatable {
    /// Bytes from the beginning.
    var offset: Int
    var reason: String
}

struct JSONParser {
    private static let depthLimit = 64

    private let bytes: ArraySlice<UInt8>
    private var at: Int

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }

    /// The one value that `bytes` hold, with blanks around it.
    static func parse(_ bytes: ArraySlice<UInt8>) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes)
        let value = try parser.value(depth: 0)
        parser.skipBlanks()
        guard parser.at == bytes.endIndex else { throw parser.error("something follows the value") }
        return value
    }

    private func error(_ reason: String) -> JSONError {
        JSONError(offset: at - bytes.startIndex, reason: reason)
    }

    private var next: UInt8? { at < bytes.endIndex ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func expect(_ text: StaticString) throws(JSONError) {
        let isThere = text.withUTF8Buffer { bytes[at...].starts(with: $0) }
        guard isThere else { throw error("'\(text)' expected") }
        at += text.utf8CodeUnitCount
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        guard depth < Self.depthLimit else { throw error("nested too deeply") }
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try list(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        default: return .number(try number())
        }
    }

    private mutating func object(_ depth: Int) throws(JSONError) -> JSON {
        at += 1
        var members: [(String, JSON)] = []
        skipBlanks()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object([])
        }
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw error("a name expected") }
            let name = try string()
            skipBlanks()
            try expect(":")
            members.append((name, try value(depth: depth + 1)))
            skipBlanks()
            if next == UInt8(ascii: ",") {
                at += 1
                continue
            }
            try expect("}")
            return .object(members)
        }
    }

    private mutating func list(_ depth: Int) throws(JSONError) -> JSON {
        at += 1
        var values: [JSON] = []
        skipBlanks()
        if next == UInt8(ascii: "]") {
            at += 1
            return .list([])
        }
        while true {
            values.append(try value(depth: depth + 1))
            skipBlanks()
            if next == UInt8(ascii: ",") {
                at += 1
                continue
            }
            try expect("]")
            return .list(values)
        }
    }

    private mutating func number() throws(JSONError) -> Double {
        let start = at
        while let byte = next, (0x30...0x39).contains(byte) || "+-.eE".utf8.contains(byte) { at += 1 }
        // Most are plain whole numbers, which need no parser.
        let digits = bytes[start..<at]
        if !digits.isEmpty, digits.count <= 15, digits.allSatisfy({ (0x30...0x39).contains($0) }) {
            return Double(digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 0x30) })
        }
        guard let value = Double(String(decoding: digits, as: UTF8.self)), value.isFinite else {
            throw error("a value expected")
        }
        return value
    }

    private mutating func string() throws(JSONError) -> String {
        at += 1
        var text: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw error("a control character in a string")
            default: text.append(byte)
            }
        }
        throw error("a string without end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = next else { throw error("a string without end") }
        at += 1
        switch byte {
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "u"):
            guard at + 4 <= bytes.endIndex,
                let unit = UInt16(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
            else { throw error("four hexadecimal digits expected") }
            at += 4
            // Halves of pairs do not occur in what we write; they are shown as what they are: not readable.
            text += Array(String(Unicode.Scalar(unit).map(Character.init) ?? "\u{FFFD}").utf8)
        default: throw error("an unknown escape")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The little of JSON that reports need: one object with its members in a fixed order.

/// A value of JSON.
indirect enum JSONText {
    case null
    case bool(Bool)
    case number(UInt64)
    case string(String)
    case list([JSONText])
    case object([(String, JSONText)])

    init(_ text: String?) { self = text.map(JSONText.string) ?? .null }
    init(_ flag: Bool?) { self = flag.map(JSONText.bool) ?? .null }

    /// The value as text, members of objects one to a line.
    func text(indent: String = "") -> String {
        switch self {
        case .null: return "null"
        case .bool(let flag): return flag ? "true" : "false"
        case .number(let number): return String(number)
        case .string(let string): return Self.quoted(string)
        case .list(let values):
            guard values.contains(where: { $0.isObject }) else {
                return "[" + values.map { $0.text() }.joined(separator: ", ") + "]"
            }
            let inner = indent + "  "
            let lines = values.map { inner + $0.text(indent: inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            let inner = indent + "  "
            let lines = members.map { "\(inner)\(Self.quoted($0.0)): \($0.1.text(indent: inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private var isObject: Bool {
        if case .object = self { return true }
        return false
    }

    private static func quoted(_ string: String) -> String {
        var result = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

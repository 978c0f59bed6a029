// SPDX-License-Identifier: Apache-2.0
//
// JSON values, with members in the order in which they were given.

/// A value of JSON (RFC 8259).
public indirect enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case list([JSON])
    case object([(String, JSON)])

    public static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a == b
        case (.list(let a), .list(let b)): a == b
        case (.object(let a), .object(let b)):
            a.count == b.count && zip(a, b).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
        default: false
        }
    }

    /// The member called `name` of an object, or nil.
    public subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.0 == name }?.1
    }

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var number: Double? { if case .number(let value) = self { value } else { nil } }
    public var list: [JSON]? { if case .list(let values) = self { values } else { nil } }
    /// A whole number that fits, or nil.
    public var word: UInt64? { number.flatMap { UInt64(exactly: $0) } }

    public static func integer(_ value: some BinaryInteger) -> JSON { .number(Double(value)) }

    /// The value on one line.
    public var text: String {
        var out = TextBuffer(capacity: 256)
        put(into: &out)
        return String(decoding: out.bytes, as: UTF8.self)
    }

    func put(into out: inout TextBuffer) {
        switch self {
        case .null: out.put("null")
        case .bool(let flag): out.put(flag ? "true" : "false")
        case .number(let value):
            if let whole = Int64(exactly: value) {
                out.put(string: String(whole))
            } else {
                out.put(string: value.isFinite ? String(value) : "null")
            }
        case .string(let text): out.put(jsonString: text)
        case .list(let values):
            out.put("[")
            for (index, value) in values.enumerated() {
                if index > 0 { out.put(",") }
                value.put(into: &out)
            }
            out.put("]")
        case .object(let members):
            out.put("{")
            for (index, member) in members.enumerated() {
                if index > 0 { out.put(",") }
                out.put(jsonString: member.0)
                out.put(":")
                member.1.put(into: &out)
            }
            out.put("}")
        }
    }
}

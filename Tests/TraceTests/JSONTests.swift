// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Trace

@Suite("JSON")
struct JSONTests {
    private func parse(_ text: String) throws(JSONError) -> JSON {
        try JSONParser.parse(Array(text.utf8)[...])
    }

    @Test(
        "values survive writing and reading",
        arguments: [
            "null", "true", "[]", "{}", "0", "-12.5", "4294967295", "[1,[2,{\"a\":null}],\"x\"]",
            "\"quote \\\" backslash \\\\ tab \\u0009 µ\"",
        ])
    func roundTrip(text: String) throws {
        let value = try parse(text)
        #expect(try parse(value.text) == value)
        let foundation = try JSONSerialization.jsonObject(
            with: Data(value.text.utf8), options: .fragmentsAllowed)
        let original = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
        #expect("\(foundation)" == "\(original)")
    }

    @Test("numbers, members and escapes are what they say")
    func reading() throws {
        let value = try parse(#" { "a" : [ 1 , 2.5e2 ] , "b\n\u0041" : "\/" } "#)
        #expect(value["a"]?.list?.map(\.number) == [1, 250])
        #expect(value["b\nA"]?.string == "/")
        #expect(value["a"]?.list?.first?.word == 1 && value["a"]?.list?.last?.word == 250)
        #expect(try parse("1.5").word == nil && parse("-1").word == nil)
    }

    @Test(
        "what is no JSON is refused",
        arguments: [
            "", "{", "[1,", "[1 2]", "{\"a\"}", "{\"a\":1,}", "nul", "01x", "\"open", "\"\\x\"", "\"\\u12\"",
            "1e999", "--1",
            "[1]]", "\"\u{1}\"",
        ])
    func refusal(text: String) {
        #expect(throws: JSONError.self) { try self.parse(text) }
    }

    @Test("deep nesting is refused, not followed")
    func depth() {
        #expect(throws: JSONError.self) {
            try self.parse(String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000))
        }
    }
}

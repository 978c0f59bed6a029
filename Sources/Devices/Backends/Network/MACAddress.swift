// SPDX-License-Identifier: Apache-2.0

import Support

/// An Ethernet address.
public struct MACAddress: Equatable, Sendable, CustomStringConvertible {
    /// Six bytes.
    public let bytes: [UInt8]

    /// Reads six hexadecimal numbers with colons. Throws `.badInput` for anything else.
    public init(parsing text: String) throws(LguestError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { $0.count <= 2 && !$0.hasPrefix("+") ? UInt8($0, radix: 16) : nil }
        guard parts.count == 6, bytes.count == 6, bytes[0] & 1 == 0 else {
            throw LguestError(
                .badInput, "'\(text.asOneLine)' is not the Ethernet address of a card",
                hint: "six hexadecimal numbers with colons, such as 02:00:00:00:00:01")
        }
        self.bytes = bytes
    }

    /// Five bytes of chance, marked as locally administered.
    public init(random source: any RandomSource) {
        let random = source.randomBytes(5)
        bytes = [2] + random + [UInt8](repeating: 0, count: 5 - random.count)
    }

    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A pattern as shells know it: `*` any text, `?` any character, all else itself.
public struct Glob: Sendable, Equatable {
    private let pattern: [UInt8]

    public init(_ pattern: some StringProtocol) { self.pattern = Array(pattern.utf8) }

    /// In time proportional to the product of both lengths at worst.
    public func matches(_ text: some Collection<UInt8>) -> Bool {
        let text = Array(text)
        var (at, star, retry, position) = (0, -1, 0, 0)
        while position < text.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                star = at
                retry = position
                at += 1
            } else if at < pattern.count, pattern[at] == UInt8(ascii: "?") || pattern[at] == text[position] {
                at += 1
                position += 1
            } else if star >= 0 {
                at = star + 1
                retry += 1
                position = retry
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

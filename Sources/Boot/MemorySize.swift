// SPDX-License-Identifier: Apache-2.0
//
// How much memory a guest gets, as people write it on the command line.

import Support

/// A guest's memory size: a whole number of pages, 16 MiB to 3 GiB.
public struct MemorySize: Equatable, Hashable, Sendable, CustomStringConvertible {
    /// The size in bytes, a multiple of 4096.
    public let bytes: UInt64

    /// The least that a Linux kernel can be started in: 16 MiB.
    public static let minimum: UInt64 = 16 << 20
    /// Above 3 GiB there would be no room for the PCI windows, which follow the RAM.
    public static let maximum: UInt64 = 3 << 30

    /// Reads `64m`, `1g`, `65536k` (also `64M`, `64MB`, `64MiB`), or a plain number of MiB as in the
    /// original lguest (docs: lguest ABI 10.1). Throws `.badInput` for anything else.
    public init(parsing text: String) throws(LguestError) {
        try self.init(bytes: try Self.amount(parsing: text), writtenAs: text)
    }

    /// Reads the same notation as an amount of memory of any size, in bytes; `UInt64.max` stands for more than that.
    /// Throws `.badInput` for anything else.
    public static func amount(parsing text: String) throws(LguestError) -> UInt64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, let unit = units[text.dropFirst(digits.count).lowercased()] else {
            throw LguestError(.badInput, "'\(text.asOneLine)' is not a memory size", hint: hint)
        }
        // So many digits that they overflow are too much memory in any unit.
        let number = UInt64(digits) ?? .max
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? .max : bytes
    }

    /// A size in bytes. Throws `.badInput` when it is not allowed; `text` is its name in the message.
    public init(bytes: UInt64, writtenAs text: String? = nil) throws(LguestError) {
        let name = (text ?? bytes.asByteCount).asOneLine
        guard bytes >= Self.minimum else {
            throw LguestError(.badInput, "\(name) is too little memory for a guest", hint: Self.hint)
        }
        guard bytes <= Self.maximum else {
            throw LguestError(.badInput, "\(name) is too much memory for a guest", hint: Self.hint)
        }
        guard bytes % 4096 == 0 else {
            throw LguestError(.badInput, "\(name) is not a whole number of 4 KiB pages", hint: Self.hint)
        }
        self.bytes = bytes
    }

    public var description: String { bytes.asByteCount }

    private static let hint = "16m to 3g: for example 64m, 1g, or 256 for 256 MiB"
    private static let units: [String: UInt64] = [
        "": 1 << 20,
        "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10,
        "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
        "g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30,
    ]
}

// SPDX-License-Identifier: Apache-2.0
//
// How sizes are written in messages for people: whole bytes while they are few, then KiB and MiB.

extension UInt64 {
    /// This number of bytes as a person reads it: `"17 bytes"`, `"3.5 KiB"`, `"64 MiB"`, `"2.1 GiB"`.
    /// One decimal at most, rounded up, so that a size named as needed is never too small.
    public var asByteCount: String {
        switch self {
        case 1: "1 byte"
        case ..<1024: "\(self) bytes"
        case ..<(1 << 20): Self.tenths(of: self, unit: 1 << 10) + " KiB"
        case ..<(1 << 30): Self.tenths(of: self, unit: 1 << 20) + " MiB"
        default: Self.tenths(of: self, unit: 1 << 30) + " GiB"
        }
    }

    /// This number as `0x…`, lower case, without leading zeros.
    public var asHex: String { "0x" + String(self, radix: 16) }

    /// The next multiple of `unit` (a power of two) that is not below this number, or nil when it
    /// does not fit into 64 bits.
    public func roundedUp(to unit: UInt64) -> UInt64? {
        let (sum, overflow) = addingReportingOverflow(unit - 1)
        return overflow ? nil : sum & ~(unit - 1)
    }

    private static func tenths(of bytes: UInt64, unit: UInt64) -> String {
        let whole = bytes / unit
        let tenth = ((bytes % unit) * 10 + unit - 1) / unit
        if tenth == 0 { return "\(whole)" }
        return tenth == 10 ? "\(whole + 1)" : "\(whole).\(tenth)"
    }
}

extension UInt32 {
    /// This number as `0x…`, lower case, without leading zeros.
    public var asHex: String { "0x" + String(self, radix: 16) }
}

extension String {
    /// The text with every control character replaced by `?`, so that a hostile file name or string
    /// cannot break a message into two lines or steer the terminal.
    public var asOneLine: String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.map { scalar in
                    let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
                    return isControl ? "?" : scalar
                }))
    }
}

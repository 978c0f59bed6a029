// SPDX-License-Identifier: Apache-2.0
//
// How much of what lguest notices it says on standard error.

/// From little to much. Each level includes those before it.
public enum LogLevel: String, CaseIterable, Comparable, Sendable {
    /// Only why the guest ended or was not started.
    case error
    /// Also what goes wrong and was got around.
    case warning
    /// Also what is being done.
    case info
    /// Everything.
    case debug

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

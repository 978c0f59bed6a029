// SPDX-License-Identifier: Apache-2.0
//
// Where the guest's console goes: what `--console` takes.

import Support

/// The far end of the guest's console.
public enum ConsoleTarget: Equatable, Sendable {
    /// Standard input and output.
    case stdio
    /// A new pseudo-terminal, whose name is said on standard error.
    case pty
    /// Output into a file, which is emptied first; there is no input.
    case file(String)
    /// A socket at this path, for one client at a time.
    case unix(String)

    /// Longest path of a socket in bytes (`sun_path` with its zero byte, unix(7)).
    public static let socketPathLimit = 107

    /// Reads `stdio`, `pty`, `file:PATH` or `unix:PATH`. Throws `.badInput` for anything else.
    public init(parsing text: String) throws(LguestError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts.count == 2 ? String(parts[1]) : ""
        switch (parts[0], path.isEmpty) {
        case ("stdio", true) where parts.count == 1: self = .stdio
        case ("pty", true) where parts.count == 1: self = .pty
        case ("file", false): self = .file(path)
        case ("unix", false):
            guard path.utf8.count <= Self.socketPathLimit else {
                throw LguestError(
                    .badInput, "the path of the console's socket is too long",
                    hint: "at most \(Self.socketPathLimit) bytes")
            }
            self = .unix(path)
        default:
            throw LguestError(
                .badInput, "'\(text.asOneLine)' is no place for a console",
                hint: "stdio, pty, file:PATH or unix:PATH")
        }
    }
}

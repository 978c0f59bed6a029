// SPDX-License-Identifier: Apache-2.0
//
// What is in a tar file, from `tar --list --verbose --numeric-owner --quoting-style=escape`: whom the files belong
// to, and which of them are device nodes. Who is not root cannot extract either.

/// One member of a tar file.
struct TarMember: Equatable {
    enum Kind: Equatable {
        case plain
        /// A device node: 'b' or 'c', and its numbers.
        case device(Character, major: UInt32, minor: UInt32)
    }

    /// Without "./" before it and "/" behind it; empty for the root.
    let path: String
    let user: UInt32
    let group: UInt32
    let kind: Kind
    /// Permissions and set-id bits.
    let mode: UInt16

    /// Reads `drwxr-xr-x 0/0 0 2026-11-26 04:47 ./dev/`. Nil for what is no such line, and for hard links, whose
    /// file is listed under its first name.
    init?(line: Substring) {
        // The name is the rest, blanks and all.
        let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
        guard fields.count == 6, let type = fields[0].first, type != "h", fields[0].count >= 10 else {
            return nil
        }
        let owner = fields[1].split(separator: "/")
        guard owner.count == 2, let user = UInt32(owner[0]), let group = UInt32(owner[1]) else { return nil }
        (self.user, self.group, mode) = (user, group, Self.mode(fields[0]))
        switch type {
        case "b", "c":
            let numbers = fields[2].split(separator: ",").compactMap { UInt32($0) }
            guard numbers.count == 2 else { return nil }
            kind = .device(type, major: numbers[0], minor: numbers[1])
        default: kind = .plain
        }
        var name = fields[5]
        if type == "l" { name = Self.beforeArrow(name) }
        path = Self.unescaped(name).split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    private static func beforeArrow(_ text: Substring) -> Substring {
        var rest = text
        while !rest.isEmpty {
            if rest.hasPrefix(" -> ") { return text[..<rest.startIndex] }
            rest = rest.dropFirst()
        }
        return text
    }

    /// `rwxr-sr-t` as bits.
    private static func mode(_ text: Substring) -> UInt16 {
        var bits: UInt16 = 0
        for (index, letter) in text.dropFirst().prefix(9).enumerated() {
            let bit = UInt16(0o400) >> UInt16(index)
            if letter != "-", letter != "S", letter != "T" { bits |= bit }
            guard "sStT".contains(letter) else { continue }
            bits |= [2: 0o4000, 5: 0o2000, 8: 0o1000][index] ?? 0
        }
        return bits
    }

    /// Undoes tar's escapes: `\n`, `\\`, `\303` and their like.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        let simple: [UInt8: UInt8] = [
            0x61: 7, 0x62: 8, 0x66: 12, 0x6E: 10, 0x72: 13, 0x74: 9, 0x76: 11, 0x5C: 0x5C, 0x20: 0x20,
        ]
        while let byte = rest.popFirst() {
            guard byte == 0x5C, let next = rest.popFirst() else {
                bytes.append(byte)
                continue
            }
            if let plain = simple[next] {
                bytes.append(plain)
            } else if (0x30...0x37).contains(next), rest.count >= 2 {
                let digits = [next] + rest.prefix(2)
                rest = rest.dropFirst(2)
                bytes.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 << 3 | Int($1 & 7) }))
            } else {
                bytes += [byte, next]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The commands for debugfs (e2fsprogs) that give an image's files what an ordinary user could not.
enum OwnerScript {
    /// Nodes and owners of `members`. Files whose names debugfs cannot be told (line ends, quotes) are counted in
    /// `left`: they keep the owner that they have.
    static func lines(_ members: [TarMember]) -> (lines: [String], left: Int) {
        var lines: [String] = []
        var left = 0
        for member in members {
            guard !member.path.unicodeScalars.contains(where: { $0.value < 0x20 || $0 == "\"" }) else {
                left += 1
                continue
            }
            let name = "\"/\(member.path)\""
            if case .device(let type, let major, let minor) = member.kind {
                let parts = member.path.split(separator: "/")
                guard let last = parts.last else { continue }
                lines.append("cd \"/\(parts.dropLast().joined(separator: "/"))\"")
                lines.append("mknod \"\(last)\" \(type) \(major) \(minor)")
                lines.append("cd /")
                let format: UInt16 = type == "b" ? 0o60000 : 0o20000
                lines.append("set_inode_field \(name) mode 0\(String(format | member.mode, radix: 8))")
            }
            // What mke2fs makes of a user's files belongs to that user.
            lines.append("set_inode_field \(name) uid \(member.user)")
            lines.append("set_inode_field \(name) gid \(member.group)")
        }
        return (lines, left)
    }
}

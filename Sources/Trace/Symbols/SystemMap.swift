// SPDX-License-Identifier: Apache-2.0
//
// Files of symbols: a vmlinux, or a System.map with a line `c1000000 T startup_32` for each symbol.

import Support

public enum SymbolFile {
    private static let limit: UInt64 = 1 << 30

    /// The symbols in the file at `path`. Throws `.badInput` when there are none.
    public static func read(_ path: String) throws(LguestError) -> SymbolTable {
        let file = try InputFile(path: path, purpose: "symbols", maximumSize: limit)
        let magic = try file.bytes(0, count: min(4, file.size))
        if magic == [0x7F, 0x45, 0x4C, 0x46] {
            guard let table = try SymbolTable(try ELF32File(file)) else {
                throw LguestError(.badInput, "\(file.name): has no symbols", hint: "it was stripped")
            }
            return table
        }
        return try systemMap(try file.bytes(0, count: file.size), file.name)
    }

    static func systemMap(_ bytes: [UInt8], _ name: String) throws(LguestError) -> SymbolTable {
        var symbols: [Symbol] = []
        for line in bytes.split(separator: 0x0A) {
            let parts = line.split(separator: 0x20)
            guard parts.count >= 3, parts[1].count == 1,
                let address = UInt32(String(decoding: parts[0], as: UTF8.self), radix: 16)
            else { throw LguestError(.badInput, "\(name): neither an ELF file nor a System.map") }
            if parts[1].first == UInt8(ascii: "A") || parts[1].first == UInt8(ascii: "a") { continue }
            symbols.append(
                Symbol(name: String(decoding: parts[2], as: UTF8.self).asOneLine, address: address))
        }
        guard !symbols.isEmpty else { throw LguestError(.badInput, "\(name): has no symbols") }
        return SymbolTable(symbols)
    }

    /// Where a kernel's symbols may be when the kernel file itself has none: beside a bzImage its vmlinux or
    /// System.map, as a build tree and as distributions have them.
    public static func candidates(besideKernel path: String) -> [String] {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = parts.dropLast().joined(separator: "/")
        let file = String(parts.last ?? "")
        let prefix = parts.count > 1 ? folder + "/" : ""
        var found: [String] = []
        for start in ["vmlinuz-", "bzImage-"] where file.hasPrefix(start) {
            let version = file.dropFirst(start.count)
            found += ["\(prefix)vmlinux-\(version)", "\(prefix)System.map-\(version)"]
        }
        if file.hasPrefix("vmlinux-") { found.append("\(prefix)System.map-\(file.dropFirst(8))") }
        if file == "bzImage" || file == "vmlinuz" {
            found += ["\(prefix)vmlinux", "\(prefix)System.map", "\(prefix)../../../vmlinux"]
            found.append("\(prefix)../../../System.map")
        }
        return found
    }
}

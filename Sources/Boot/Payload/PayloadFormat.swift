// SPDX-License-Identifier: Apache-2.0
//
// How the kernel inside a bzImage is packed; each format begins with bytes of its own.

/// A compression that Linux packs kernels with (its scripts/Makefile.lib).
public enum PayloadFormat: String, CaseIterable, Sendable {
    case gzip
    case bzip2
    case lzma
    case xz
    case lzo
    case lz4
    case zstd

    /// The first bytes of packed data.
    var magic: [UInt8] {
        switch self {
        case .gzip: [0x1F, 0x8B, 0x08]
        case .bzip2: [0x42, 0x5A, 0x68]
        case .lzma: [0x5D, 0x00, 0x00]
        case .xz: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]
        case .lzo: [0x89, 0x4C, 0x5A, 0x4F, 0x00, 0x0D, 0x0A, 0x1A, 0x0A]
        case .lz4: [0x02, 0x21, 0x4C, 0x18]
        case .zstd: [0x28, 0xB5, 0x2F, 0xFD]
        }
    }

    /// Recognises the format by the beginning of `bytes`.
    init?(_ bytes: [UInt8]) {
        guard let format = Self.allCases.first(where: { bytes.starts(with: $0.magic) }) else { return nil }
        self = format
    }
}

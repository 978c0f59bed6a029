// SPDX-License-Identifier: Apache-2.0
//
// A 64-bit kernel: it does not boot here, but it can be said what it is.

import Support

/// What is known of a 64-bit x86 kernel.
struct WideKernel {
    let format: String
    var compression: PayloadFormat?
    var version: String?
    var isRelocatable: Bool?
    var interfaces: [String] = []

    /// Nil when `file` is no such kernel. Throws when it cannot be read.
    init?(_ file: InputFile) throws(LguestError) {
        var content: InputFile? = file
        switch try FileKind(file) {
        case .elf64: format = "ELF vmlinux, 64-bit"
        case .bzImage:
            guard let header = try? SetupHeader(file, isOnlyDescribed: true), header.is64Bit else {
                return nil
            }
            format = "bzImage, 64-bit"
            version = try header.linuxVersion(in: file)?.release
            isRelocatable = header.isRelocatable
            compression = try Payload.find(header, in: file)?.format
            content = (try? Payload.unpack(header, in: file))?.file
        case .elf32, .other: return nil
        }
        guard let content else { return }
        if version == nil { version = try Self.banner(content) }
        interfaces = try GuestMarks.interfaces(inBytesOf: content)
    }

    private static func banner(_ file: InputFile) throws(LguestError) -> String? {
        let banner = Array("Linux version ".utf8)
        return try file.firstResult(in: 0..<file.size, overlap: 96) { bytes, _ in
            guard let index = bytes.firstIndex(of: banner) else { return nil }
            let text = bytes[(index + banner.count)...].prefix { $0 > 0x20 && $0 < 0x7F }
            return LinuxVersion(release: text)?.release
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Which Linux a kernel file is: the text "Linux version 4.4.178 (…" that each kernel carries.

import Support

/// A Linux release, as the kernel itself names it.
public struct LinuxVersion: Equatable, Sendable, CustomStringConvertible {
    public let major: Int
    public let minor: Int
    public let patch: Int
    /// The whole name: `4.4.178-lguest`.
    public let release: String

    /// Whether lguest was gone from the kernel's sources by then (4.14).
    public var isAfterLguest: Bool { (major, minor) > (4, 13) }

    /// Whether its lguest devices are virtio devices on a PCI bus (from 4.0), not on a page above RAM.
    public var hasPCIDevices: Bool { major >= 4 }

    /// Whether it describes its devices in fields, as no later kernel does (2.6.24).
    public var hasDeviceFields: Bool { (major, minor, patch) == (2, 6, 24) }

    /// Whether its console driver can be told of another window size. In Linux 4.0 to 4.9 it follows a wrong pointer
    /// then; later stable releases of these do not. Older kernels are not told (lguest ABI 8.3).
    public var survivesConsoleChanges: Bool {
        guard major == 4, minor < 10 else { return true }
        let mended = [1: 40, 4: 60, 9: 20]
        return mended[minor].map { patch >= $0 } ?? false
    }

    public var description: String { release }

    /// Reads `x.y` or `x.y.z` with anything behind it; nil when there is no such number.
    init?(release bytes: some Collection<UInt8>) {
        let release = String(decoding: bytes.prefix(64), as: UTF8.self).asOneLine
        var numbers: [Int] = []
        var rest = release[...]
        while numbers.count < 3 {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard let number = Int(digits) else { break }
            numbers.append(number)
            rest = rest.dropFirst(digits.count)
            guard rest.first == "." else { break }
            rest = rest.dropFirst()
        }
        guard numbers.count >= 2 else { return nil }
        (major, minor, patch) = (numbers[0], numbers[1], numbers.count > 2 ? numbers[2] : 0)
        self.release = release
    }

    /// Looks for the banner in what `elf` loads. Throws only when the file cannot be read.
    init?(bannerIn elf: ELF32File) throws(LguestError) {
        let banner = Array("Linux version ".utf8)
        for segment in elf.loadSegments {
            // Long enough for the banner and a release of the longest length, 64 bytes.
            let version = try elf.file.firstResult(in: segment.fileRange, overlap: 96) { bytes, _ in
                var start = 0
                while let index = bytes.firstIndex(of: banner, from: start) {
                    let text = bytes[(index + banner.count)...].prefix { $0 > 0x20 && $0 < 0x7F }
                    if let version = LinuxVersion(release: text) { return version as LinuxVersion? }
                    start = index + 1
                }
                return nil
            }
            if let version {
                self = version
                return
            }
        }
        return nil
    }
}

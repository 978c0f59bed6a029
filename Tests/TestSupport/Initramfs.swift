// SPDX-License-Identifier: Apache-2.0
//
// An initramfs with a static i386 busybox and an init script of the test's own.

import Foundation
import LguestKit

public enum Initramfs {
    /// The static i386 busybox that `Scripts/fetch-busybox` keeps, or nil.
    public static let busybox: [UInt8]? = {
        let environment = ProcessInfo.processInfo.environment
        let path =
            environment["LGUEST_BUSYBOX"] ?? (environment["HOME"] ?? "") + "/.cache/lguest/busybox-i386"
        return FileManager.default.contents(atPath: path).map(Array.init)
    }()

    /// An initramfs whose /init is this shell script; nil without a busybox.
    public static func withScript(_ script: String) -> [UInt8]? {
        guard let busybox else { return nil }
        var archive = CPIOArchive()
        for folder in ["bin", "dev", "proc", "sys", "tmp"] { archive.directory(folder) }
        archive.characterDevice("dev/console", major: 5, minor: 1)
        archive.file("bin/busybox", mode: 0o755, busybox)
        let applets =
            "sh mount cat echo poweroff reboot ps date sleep true dmesg grep seq mkdir ls free setsid cttyhack wc"
        for applet in applets.split(separator: " ") { archive.symlink("bin/\(applet)", to: "busybox") }
        archive.file("init", mode: 0o755, Array(script.utf8))
        archive.finish()
        return archive.bytes
    }

    /// An initramfs whose /init carries out these lines (Guests/Linux/tool.c), on every kernel; nil when it was not
    /// built.
    public static func withTool(_ script: String) -> [UInt8]? {
        let folder = URL(fileURLWithPath: BuiltinGuestFile.path).deletingLastPathComponent()
        guard
            let tool = FileManager.default.contents(atPath: folder.appendingPathComponent("linux-init").path)
        else { return nil }
        var archive = CPIOArchive()
        for folder in ["dev", "proc", "mnt"] { archive.directory(folder) }
        archive.characterDevice("dev/console", major: 5, minor: 1)
        archive.characterDevice("dev/hwrng", major: 10, minor: 183)
        archive.file("init", mode: 0o755, Array(tool))
        archive.file("script", Array(script.utf8))
        archive.finish()
        return archive.bytes
    }
}

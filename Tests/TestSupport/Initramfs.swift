// SPDX-License-Identifier: Apache-2.0
//
// Makes an initramfs in memory: a newc cpio archive (Linux: Documentation/early-userspace/buffer-format)
// with a static i386 busybox and an init script of the test's own.

import Foundation

public struct NewcArchive {
    public private(set) var bytes: [UInt8] = []
    private var inode: UInt32 = 1

    public init() {}

    public mutating func directory(_ name: String) { add(name, mode: 0o040755, data: []) }

    public mutating func file(_ name: String, mode: UInt32 = 0o644, _ data: [UInt8]) {
        add(name, mode: 0o100000 | mode, data: data)
    }

    public mutating func symlink(_ name: String, to target: String) {
        add(name, mode: 0o120777, data: Array(target.utf8))
    }

    public mutating func characterDevice(_ name: String, major: UInt32, minor: UInt32) {
        add(name, mode: 0o020600, data: [], device: (major, minor))
    }

    public mutating func finish() { add("TRAILER!!!", mode: 0, data: []) }

    private mutating func add(
        _ name: String, mode: UInt32, data: [UInt8], device: (UInt32, UInt32) = (0, 0)
    ) {
        let nameBytes = Array(name.utf8) + [0]
        let fields: [UInt32] = [
            inode, mode, 0, 0, 1, 0, UInt32(data.count), 0, 0, device.0, device.1, UInt32(nameBytes.count), 0,
        ]
        inode += 1
        bytes += Array("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes += Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        }
        bytes += nameBytes
        pad()
        bytes += data
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}

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
        var archive = NewcArchive()
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
        var archive = NewcArchive()
        for folder in ["dev", "proc", "mnt"] { archive.directory(folder) }
        archive.characterDevice("dev/console", major: 5, minor: 1)
        archive.characterDevice("dev/hwrng", major: 10, minor: 183)
        archive.file("init", mode: 0o755, Array(tool))
        archive.file("script", Array(script.utf8))
        archive.finish()
        return archive.bytes
    }
}

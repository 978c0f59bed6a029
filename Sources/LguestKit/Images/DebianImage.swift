// SPDX-License-Identifier: Apache-2.0
//
// A Debian kernel for i386 with the modules that lguest's devices need and a static busybox: what `lguest boot
// debian` starts.

import Boot
import Devices
import Support

public struct DebianImage: Sendable {
    /// The kernels that Debian builds for i386.
    public enum Flavour: String, CaseIterable, Sendable {
        /// For processors without PAE.
        case plain = "686"
        /// With PAE and no-execute.
        case pae = "686-pae"
    }

    public let flavour: Flavour
    /// Where it is.
    public let folder: String

    /// The kernel, unpacked once: that takes a third of a second.
    public var kernelPath: String { folder + "/vmlinux" }

    /// Modules in the order in which they are loaded, without ".ko".
    public static let modules = [
        "drivers/virtio/virtio", "drivers/virtio/virtio_ring", "drivers/virtio/virtio_pci_legacy_dev",
        "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci", "drivers/char/virtio_console",
        "drivers/block/virtio_blk", "net/core/failover", "drivers/net/net_failover",
        "drivers/net/virtio_net", "drivers/char/hw_random/rng-core", "drivers/char/hw_random/virtio-rng",
        "drivers/virtio/virtio_balloon", "lib/crc16", "lib/libcrc32c", "crypto/crc32c_generic", "fs/mbcache",
        "fs/jbd2/jbd2", "fs/ext4/ext4", "fs/netfs/netfs", "fs/fscache/fscache", "net/9p/9pnet",
        "net/9p/9pnet_virtio", "fs/9p/9p",
    ]

    static func name(_ flavour: Flavour) -> String { "debian-bookworm-" + flavour.rawValue }

    /// The image in the cache, or nil.
    public static func find(_ flavour: Flavour, in cache: ImageCache) -> DebianImage? {
        let image = DebianImage(flavour: flavour, folder: cache.path(name(flavour)))
        let isWhole = ["/description", "/lib/modules"].allSatisfy { HostFolders.exists(image.folder + $0) }
        return isWhole ? image : nil
    }

    /// Fetches it. Throws `.host` when the host has no apt, no archive or no network.
    public static func fetch(
        _ flavour: Flavour, into cache: ImageCache, progress: Progress
    ) throws(LguestError) -> DebianImage {
        let archive = try DebianArchive(cache: cache, progress: progress)
        try archive.update()
        let kernel = try archive.dependency(of: "linux-image-" + flavour.rawValue, prefix: "linux-image-")
        let final = cache.path(name(flavour))
        let work = final + ".new"
        HostFolders.removeTree(work)
        try HostFolders.create(work + "/root")
        do throws(LguestError) {
            let files = try archive.unpack([kernel, "busybox-static"], into: work + "/root")
            try collect(from: work + "/root", into: work)
            try collectTree(from: work + "/root", into: work)
            progress.end()
            HostFolders.removeTree(work + "/root")
            let description = files.map { $0.replacing("%3a", with: ":") }.joined(separator: " ")
            try HostFolders.write(Array(description.utf8), to: work + "/description")
            try HostFolders.move(work, to: final)
        } catch {
            HostFolders.removeTree(work)
            throw error
        }
        return DebianImage(flavour: flavour, folder: final)
    }

    /// Takes what is needed out of the unpacked packages.
    private static func collect(from root: String, into folder: String) throws(LguestError) {
        guard let kernel = HostFolders.list(root + "/boot").first(where: { $0.hasPrefix("vmlinuz-") }),
            let image = HostFolders.contents(root + "/boot/" + kernel)
        else { throw LguestError(.host, "the kernel's package holds no kernel") }
        let unpacked = try KernelImage(InputFile(name: kernel, bytes: image), looksForLguest: false).file
        try HostFolders.write(try unpacked.bytes(0, count: unpacked.size), to: folder + "/vmlinux")
        let release = kernel.dropFirst("vmlinuz-".count)
        try HostFolders.create(folder + "/modules")
        for base in ["/lib/modules/", "/usr/lib/modules/"] {
            let tree = root + base + release + "/kernel/"
            for (index, module) in modules.enumerated() {
                // What a kernel has built in has no file.
                guard let bytes = HostFolders.contents(tree + module + ".ko") else { continue }
                let name = module.split(separator: "/").last ?? ""
                let number = String(index + 100).dropFirst()
                try HostFolders.write(bytes, to: "\(folder)/modules/\(number)-\(name).ko")
            }
        }
        for path in ["/bin/busybox", "/usr/bin/busybox"] {
            guard let bytes = HostFolders.contents(root + path) else { continue }
            return try HostFolders.write(bytes, to: folder + "/busybox", mode: 0o755)
        }
        throw LguestError(.host, "the package busybox-static holds no busybox")
    }

    /// What a Debian system on disk may ask for by name, below the kernel's modules: all but the drivers of hardware
    /// that is not there.
    private static let tree = [
        "arch", "block", "crypto", "fs", "lib", "mm", "net", "security", "drivers/block", "drivers/char",
        "drivers/md", "drivers/net", "drivers/virtio",
    ]
    /// And of those, what is left out all the same.
    private static let notInTree = [
        "drivers/net/ethernet", "drivers/net/wireless", "drivers/net/usb", "drivers/net/can",
    ]

    /// The modules that a system on disk finds in /lib/modules, and their indices.
    private static func collectTree(from root: String, into folder: String) throws(LguestError) {
        for base in ["/lib/modules", "/usr/lib/modules"] {
            guard let release = HostFolders.list(root + base).first else { continue }
            let source = "\(root)\(base)/\(release)"
            let target = "\(folder)/lib/modules/\(release)"
            for part in tree where HostFolders.exists("\(source)/kernel/\(part)") {
                let place = "\(target)/kernel/\(part)".split(separator: "/").dropLast().joined(separator: "/")
                try HostFolders.create("/" + place)
                try HostFolders.move("\(source)/kernel/\(part)", to: "\(target)/kernel/\(part)")
            }
            for part in notInTree { HostFolders.removeTree("\(target)/kernel/\(part)") }
            for name in HostFolders.list(source) where name.hasPrefix("modules.") {
                try HostFolders.move("\(source)/\(name)", to: "\(target)/\(name)")
            }
            // Without its indices modprobe(8) finds nothing; what the guest itself needs comes without.
            try? HostPrograms.run(
                ["depmod", "--basedir", folder, release], package: "kmod", quietly: true)
        }
    }

    /// Where `collectTree` has put them, for a share: /lib/modules of the guest.
    public var moduleTree: String? {
        let path = folder + "/lib/modules"
        return HostFolders.list(path).isEmpty ? nil : path
    }

    /// The command line with which the image starts: the serial port until there is the virtio console; without the
    /// self-tests of the kernel's ciphers and without the search for ISA cards, which take seconds.
    public static let commandLine = "console=ttyS0 quiet cryptomgr.notests noisapnp"

    /// An initramfs that ends in a shell.
    public func shellInitramfs(_ setup: DebianSetup) throws(LguestError) -> [UInt8] {
        try initramfs(script: DebianScripts.shell(setup))
    }

    /// An initramfs that goes on with the system on the first disk.
    public func diskInitramfs() throws(LguestError) -> [UInt8] {
        try initramfs(script: DebianScripts.disk)
    }

    /// What that system is told beside `commandLine`: its network card is eth0, and its one login prompt is on the virtio
    /// console.
    public static let diskCommandLine = "net.ifnames=0 systemd.mask=serial-getty@ttyS0.service"

    /// An initramfs that runs `words` with the streams of this process, in the first shared folder if there is one.
    public func commandInitramfs(_ words: [String], _ setup: DebianSetup) throws(LguestError) -> [UInt8] {
        let quoted = words.map { "'" + $0.replacing("'", with: "'\\''") + "'" }.joined(separator: " ")
        return try initramfs(
            script: DebianScripts.command(setup),
            files: ["command": "exec \(quoted)\n"])
    }

    /// An initramfs whose /init is `script`, with busybox and the modules in /lib/modules, and `files` beside.
    public func initramfs(script: String, files: [String: String] = [:]) throws(LguestError) -> [UInt8] {
        guard let busybox = HostFolders.contents(folder + "/busybox") else {
            throw LguestError(.host, "\(folder): the image is damaged", hint: "'lguest images rm' removes it")
        }
        var archive = CPIOArchive()
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "mnt", "root", "lib", "lib/modules"] {
            archive.directory(name)
        }
        archive.characterDevice("dev/console", major: 5, minor: 1)
        archive.characterDevice("dev/null", major: 1, minor: 3)
        archive.file("bin/busybox", mode: 0o755, busybox)
        archive.symlink("bin/sh", to: "busybox")
        archive.file("bin/" + SetTime.name, mode: 0o755, SetTime.program)
        for name in HostFolders.list(folder + "/modules") {
            guard let bytes = HostFolders.contents(folder + "/modules/" + name) else { continue }
            archive.file("lib/modules/" + name, bytes)
        }
        archive.file("bin/udhcpc-script", mode: 0o755, Array(DebianScripts.network.utf8))
        for (name, text) in files.sorted(by: { $0.key < $1.key }) {
            archive.file(name, mode: 0o755, Array(text.utf8))
        }
        archive.file("init", mode: 0o755, Array(script.utf8))
        archive.finish()
        return archive.bytes
    }
}

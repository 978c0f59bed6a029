// SPDX-License-Identifier: Apache-2.0
//
// `lguest boot debian [options] [kernel-args …]`: Debian's own kernel, fetched when it is not there, with a shell or with
// the Debian system on a disk.

import ArgumentParser
import Boot
import LguestKit
import Support

extension DebianImage.Flavour: ExpressibleByArgument {}

struct DebianCommand: ParsableCommand {
    /// The name as the parser knows it; people write `boot debian`.
    static let name = "boot-debian"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Boot Debian's kernel ('lguest boot debian').",
        usage: "lguest boot debian[:bookworm] [options] [kernel-args ...]",
        discussion: """
            Without --disk the guest is a shell in memory. Folders of --share are in /work, /work2, ... there.
            """)

    @OptionGroup var options: RunOptions

    @Option(name: [.short, .long], help: ArgumentHelp("Memory, 64m to 3g.", valueName: "MEM"))
    var memory = "256m"

    @Option(name: .long, help: ArgumentHelp("Which of Debian's kernels.", valueName: "686|686-pae"))
    var flavour = DebianImage.Flavour.plain

    @Flag(name: .long, help: "Fetch the newest kernel, also when one is there.")
    var update = false

    @Option(
        name: .long, help: ArgumentHelp("Boot the Debian system on this disk.", valueName: "FILE"),
        completion: .file())
    var disk: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Make that disk first: Debian with systemd, ssh and apt; root logs in without a password on the console.",
            valueName: "SIZE"))
    var create: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Who has this public key may log in as root by ssh (--create).", valueName: "FILE"),
        completion: .file())
    var sshKey: String?

    @OptionGroup var devices: DeviceOptions

    @Argument(help: ArgumentHelp("debian or debian:bookworm.", valueName: "debian[:bookworm]"))
    var release: String

    @Argument(help: ArgumentHelp("More words for the kernel's command line.", valueName: "kernel-args"))
    var kernelArguments: [String] = []

    /// Whether a word stands for a Debian release.
    static func isName(_ word: String) -> Bool { word == "debian" || word.hasPrefix("debian:") }

    func run() throws {
        guard release == "debian" || release == "debian:bookworm" else {
            throw LguestError(
                .badInput, "'\(release.asOneLine)' is not there",
                hint: "bookworm is the last with a 32-bit kernel")
        }
        let image = try image()
        if let create { try makeDisk(create) }
        try RunMachine.untilItEnds(try machine(image), try options.session())
    }

    private func makeDisk(_ size: String) throws(LguestError) {
        guard let disk else {
            throw LguestError(
                .badInput, "--create needs the name of the disk", hint: "--disk FILE --create SIZE")
        }
        var keys: String?
        if let sshKey {
            let file = try InputFile(path: sshKey, purpose: "public key", maximumSize: 1 << 16)
            keys = String(decoding: try file.bytes(0, count: file.size), as: UTF8.self)
        }
        try DebianDisk(path: disk, size: size, keys: keys).create()
    }

    private func image() throws(LguestError) -> DebianImage {
        let cache = try ImageCache()
        if !update, let image = DebianImage.find(flavour, in: cache) { return image }
        return try DebianImage.fetch(flavour, into: cache, progress: Progress())
    }

    /// The machine for `image`. Throws `.badInput` for a size that is none.
    func machine(_ image: DebianImage) throws(LguestError) -> MachineConfiguration {
        var machine = MachineConfiguration(
            memoryBytes: try MemorySize(parsing: memory).bytes, kernelPath: image.kernelPath)
        try devices.apply(to: &machine)
        var words = [DebianImage.commandLine]
        if let disk {
            machine.disks.insert(try DiskSpecification(parsing: disk), at: 0)
            machine.initrdBytes = try image.diskInitramfs()
            if let tree = image.moduleTree {
                machine.shares.append(ShareSpecification(path: tree, tag: ShareSpecification.modulesTag))
            }
            words.append(DebianImage.diskCommandLine)
        } else {
            var setup = DebianSetup()
            setup.shares = machine.shares
            machine.initrdBytes = try image.shellInitramfs(setup)
        }
        machine.commandLine = (words + kernelArguments).joined(separator: " ")
        try options.apply(to: &machine)
        machine.interface = .bare
        machine.waitsForVirtioConsole = true
        return machine
    }
}

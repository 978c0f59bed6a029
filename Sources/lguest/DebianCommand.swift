// SPDX-License-Identifier: Apache-2.0
//
// `lguest boot debian [options] [kernel-args …]`: Debian's own kernel with a shell, fetched when it is not there.

import ArgumentParser
import Boot
import LguestKit
import Support

extension DebianImage.Flavour: ExpressibleByArgument {}

struct DebianCommand: ParsableCommand {
    /// The name as the parser knows it; people write `boot debian`.
    static let name = "boot-debian"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Boot Debian's kernel with a shell ('lguest boot debian').",
        usage: "lguest boot debian[:bookworm] [options] [kernel-args ...]")

    @OptionGroup var options: RunOptions

    @Option(name: [.short, .long], help: ArgumentHelp("Memory, 64m to 3g.", valueName: "MEM"))
    var memory = "256m"

    @Option(name: .long, help: ArgumentHelp("Which of Debian's kernels.", valueName: "686|686-pae"))
    var flavour = DebianImage.Flavour.plain

    @Flag(name: .long, help: "Fetch the newest kernel, also when one is there.")
    var update = false

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
        try RunMachine.untilItEnds(try machine(try image()), try options.session())
    }

    private func image() throws(LguestError) -> DebianImage {
        let cache = try ImageCache()
        if !update, let image = DebianImage.find(flavour, in: cache) { return image }
        return try DebianImage.fetch(flavour, into: cache) { StandardError.print("lguest: \($0)") }
    }

    /// The machine for `image`. Throws `.badInput` for a size that is none.
    func machine(_ image: DebianImage) throws(LguestError) -> MachineConfiguration {
        var machine = MachineConfiguration(
            memoryBytes: try MemorySize(parsing: memory).bytes, kernelPath: image.kernelPath)
        machine.initrdBytes = try image.shellInitramfs()
        try devices.apply(to: &machine)
        machine.commandLine = ([DebianImage.commandLine] + kernelArguments).joined(separator: " ")
        try options.apply(to: &machine)
        machine.interface = .bare
        return machine
    }
}

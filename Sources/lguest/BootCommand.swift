// SPDX-License-Identifier: Apache-2.0
//
// `lguest [boot] [options] MEM KERNEL [kernel-args …]`: boots a kernel on this terminal.

import ArgumentParser
import Boot
import LguestKit
import Support

struct BootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boot",
        abstract: "Boot a kernel (the default: 'boot' may be left out).",
        usage: "lguest [options] MEM KERNEL [kernel-args ...]")

    @OptionGroup var options: RunOptions

    @Option(
        name: .long, help: ArgumentHelp("File with the initial RAM disk.", valueName: "FILE"),
        completion: .file())
    var initrd: String?

    @Flag(name: .long, help: "Let a bzImage unpack itself, in place of unpacking it here.")
    var guestDecompress = false

    @OptionGroup var devices: DeviceOptions

    @Argument(
        help: ArgumentHelp("Memory, 16m to 3g; a plain number means MiB.", valueName: "MEM"))
    var memory: String

    @Argument(help: ArgumentHelp("A vmlinux or bzImage.", valueName: "KERNEL"), completion: .file())
    var kernel: String

    @Argument(
        help: ArgumentHelp(
            "The kernel's command line: all other words, joined by blanks.", valueName: "kernel-args"))
    var kernelArguments: [String] = []

    func run() throws {
        try RunMachine.untilItEnds(try machine(), try options.session())
    }

    /// The machine that the words describe. Throws `.badInput` for a size that is none.
    func machine() throws(LguestError) -> MachineConfiguration {
        var machine = MachineConfiguration(
            memoryBytes: try MemorySize(parsing: memory).bytes, kernelPath: kernel)
        machine.initrdPath = initrd
        machine.guestDecompress = guestDecompress
        try devices.apply(to: &machine)
        machine.commandLine = kernelArguments.joined(separator: " ")
        try options.apply(to: &machine)
        return machine
    }
}

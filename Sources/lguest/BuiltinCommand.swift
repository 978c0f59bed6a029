// SPDX-License-Identifier: Apache-2.0
//
// `lguest builtin [options] [args …]`: boots the guest that comes with lguest, a small kernel of
// our own that shows and checks the interface.

import ArgumentParser
import Boot
import LguestKit
import Support

struct BuiltinCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "builtin",
        abstract: "Boot the guest that comes with lguest.",
        usage: "lguest builtin [options] [args ...]",
        aliases: ["demo"])

    @OptionGroup var options: RunOptions

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Memory, 16m to 3g; a plain number means MiB.", valueName: "MEM"))
    var memory = "64m"

    @Argument(help: ArgumentHelp("The guest's command line.", valueName: "args"))
    var arguments: [String] = []

    func run() throws {
        try RunMachine.untilItEnds(try machine(guest: try BuiltinGuest.find()), try options.session())
    }

    /// The machine for the built-in guest at the path `guest`. Throws `.badInput` for a size that is none.
    func machine(guest: String) throws(LguestError) -> MachineConfiguration {
        var machine = MachineConfiguration(
            memoryBytes: try MemorySize(parsing: memory).bytes, kernelPath: guest)
        machine.commandLine = arguments.joined(separator: " ")
        try options.apply(to: &machine)
        return machine
    }
}

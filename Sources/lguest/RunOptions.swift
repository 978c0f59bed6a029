// SPDX-License-Identifier: Apache-2.0
//
// Options that all subcommands share which run a guest.

import ArgumentParser
import LguestKit

extension EngineChoice: ExpressibleByArgument {}

struct RunOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Say what is being done.")
    var verbose = false

    @Flag(name: .long, help: "At the end, print instructions, speed and time.")
    var stats = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How guest code is run: interpreter, or translator (faster, newer), or lockstep (both, compared).",
            valueName: "NAME"))
    var engine = EngineChoice.interpreter
}

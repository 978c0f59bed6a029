// SPDX-License-Identifier: Apache-2.0
//
// Options that all subcommands share which run a guest.

import ArgumentParser

/// How guest code is carried out.
enum EngineName: String, CaseIterable, ExpressibleByArgument {
    /// One instruction after the other: exact and traceable.
    case interpreter
}

struct RunOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Say what is being done.")
    var verbose = false

    @Flag(name: .long, help: "At the end, print instructions, speed and time.")
    var stats = false

    @Option(name: .long, help: ArgumentHelp("How guest code is run.", valueName: "NAME"))
    var engine = EngineName.interpreter
}

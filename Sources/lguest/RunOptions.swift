// SPDX-License-Identifier: Apache-2.0
//
// Options that all subcommands share which run a guest.

import ArgumentParser
import LguestKit
import Support

extension EngineChoice: ExpressibleByArgument {}

extension InterfaceChoice: ExpressibleByArgument {}

extension LogLevel: ExpressibleByArgument {}

struct RunOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Say what is being done.")
    var verbose = false

    @Option(name: .long, help: "How much to say on standard error.")
    var logLevel = LogLevel.warning

    @Flag(
        name: .long,
        help: "At the end, and on SIGUSR1, print all counters and times; --stats=json prints one JSON object."
    )
    var stats = false

    /// What `--stats=json` is turned into.
    @Flag(name: .long, help: .hidden)
    var statsJson = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How guest code is run: translator, interpreter (the reference, slower), or lockstep (both, compared).",
            valueName: "NAME"))
    var engine = EngineChoice.translator

    @Flag(name: .long, help: "Write names of translated code to /tmp/perf-PID.map, for perf.")
    var perfMap = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What the kernel runs on: lguest (a kernel that knows it is a guest), bare (any kernel, on a PC), or pvh "
                + "(the same PC, by the PVH entry); by default what suits it.", valueName: "lguest|bare|pvh"))
    var guestInterface: InterfaceChoice?

    @Option(name: .long, help: ArgumentHelp("The guest's name, in messages and in 'ps'.", valueName: "NAME"))
    var name: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Where the guest's console is.", valueName: "stdio|pty|file:PATH|unix:PATH"),
        completion: .list(["stdio", "pty", "file:", "unix:"]))
    var console = "stdio"

    @Option(
        name: .long,
        help: ArgumentHelp("End the guest after so long, with status 124.", valueName: "SECONDS"))
    var timeout: Double?

    @Flag(name: .long, help: "When the guest reboots, end with status 0.")
    var noReboot = false

    @Flag(
        name: .long,
        help: "A byte that the guest writes to I/O port 0xF4 ends lguest with that status.")
    var exitWithGuestStatus = false

    @Option(
        name: .long,
        help: ArgumentHelp("Once everything is open, become this user (needs root).", valueName: "NAME"),
        completion: .shellCommand("cut -d: -f1 /etc/passwd"))
    var username: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Once everything is open, make DIR the root directory (needs root).", valueName: "DIR"),
        completion: .directory)
    var chroot: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Let gdb or lldb connect. The guest waits for it before its first instruction, unless ',nowait' follows.",
            valueName: "PORT|unix:PATH"))
    var gdb: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "If the guest dies, write its memory and registers there, for gdb and crash.", valueName: "FILE"))
    var coredump: String?

    @OptionGroup var tracing: TraceOptions

    @Flag(
        name: .long,
        help: "Keep all rights while the guest runs, for debugging: a guest that breaks out has them too.")
    var noSandbox = false

    func apply(to machine: inout MachineConfiguration) throws(LguestError) {
        machine.trace = try tracing.request()
        machine.symbolPath = tracing.symbols
        machine.verbose = verbose
        machine.showStatistics = stats || statsJson
        machine.statisticsFormat = statsJson ? .json : .text
        machine.hasPerfMap = perfMap
        machine.engine = engine
        machine.interface = guestInterface
        machine.hasStatusPort = exitWithGuestStatus
    }

    /// Throws `.badInput` for words that make no sense.
    func session() throws(LguestError) -> SessionOptions {
        var session = SessionOptions()
        if let name {
            guard !name.isEmpty, name.utf8.count <= 64 else {
                throw LguestError(.badInput, "the guest's name must have 1 to 64 bytes", hint: "--name")
            }
            session.name = name
        }
        session.console = try ConsoleTarget(parsing: console)
        session.logLevel = logLevel
        if let timeout {
            guard timeout > 0, timeout <= 1e9 else {
                throw LguestError(
                    .badInput, "a timeout of \(timeout) s makes no sense", hint: "seconds, such as 60 or 0.5")
            }
            session.timeoutSeconds = timeout
        }
        session.restarts = !noReboot
        session.username = username
        session.chroot = chroot
        session.isSandboxed = !noSandbox
        session.unneededDescriptors = ProcessFacts.inheritedDescriptors
        session.corePath = coredump
        session.hasControlSocket = true
        session.debugger = try gdb.map(DebuggerOption.init(parsing:))
        return session
    }
}

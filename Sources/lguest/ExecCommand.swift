// SPDX-License-Identifier: Apache-2.0
//
// `lguest exec [options] -- COMMAND [args …]`: runs a command in a guest with our standard streams, and ends with its
// status.

import ArgumentParser
import Boot
import LguestKit
import Support

struct ExecCommand: ParsableCommand {
    /// Status when no guest ran the command, that of env(1) and its like.
    private static let failure: Int32 = 125

    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in a guest and end with its status.",
        usage: "lguest exec [options] -- COMMAND [args ...]",
        discussion: """
            The guest is Debian's kernel with busybox, fetched when it is not there. Its working directory is \
            the shared folder, by default the current one, read-only.
            """)

    @Option(name: .long, help: ArgumentHelp("Another kernel: a vmlinux or bzImage.", valueName: "K"))
    var kernel: String?

    @Option(name: [.short, .long], help: ArgumentHelp("Memory, 64m to 3g.", valueName: "MEM"))
    var memory = "256m"

    @Option(
        name: .long,
        help: ArgumentHelp("The folder to share, ':rw' to let the guest change it.", valueName: "DIR[:rw]"))
    var share = "."

    @Option(name: .long, help: ArgumentHelp("Which of Debian's kernels.", valueName: "686|686-pae"))
    var flavour = DebianImage.Flavour.plain

    @Option(name: .long, help: "How guest code is run: interpreter or translator.")
    var engine = EngineChoice.translator

    @Option(
        name: .long, help: ArgumentHelp("End the guest after so long, with status 124.", valueName: "SECONDS")
    )
    var timeout: Double?

    @Flag(name: .long, help: "At the end, print instructions, speed and time.")
    var stats = false

    @Argument(help: ArgumentHelp("The command and its arguments.", valueName: "COMMAND"))
    var words: [String]

    func run() throws {
        var options = SessionOptions()
        options.console = .file("/dev/null")
        options.restarts = false
        if let timeout {
            guard timeout > 0, timeout <= 1e9 else {
                throw LguestError(.badInput, "a timeout of \(timeout) s makes no sense")
            }
            options.timeoutSeconds = timeout
        }
        switch try runOnTerminal(try machine(), options) {
        case .guestStatus(let status): if status != 0 { throw Ending.exit(Int32(status)) }
        case .timeout:
            StandardError.print("lguest: the guest was ended after \(timeout ?? 0) s (--timeout)")
            throw Ending.exit(RunMachine.timeoutStatus)
        case .userInterrupt: throw Ending.interrupted
        case .killed(let report):
            StandardError.print(report)
            throw Ending.exit(Self.failure)
        case .powerOff, .restart, .quit:
            StandardError.print("lguest: the guest ended before the command did")
            throw Ending.exit(Self.failure)
        }
    }

    private func machine() throws(LguestError) -> MachineConfiguration {
        let cache = try ImageCache()
        let image: DebianImage
        if let found = DebianImage.find(flavour, in: cache) {
            image = found
        } else {
            image = try DebianImage.fetch(flavour, into: cache) { StandardError.print("lguest: \($0)") }
        }
        let shares = [try ShareSpecification(parsing: share, tag: "share")]
        var machine = MachineConfiguration(
            memoryBytes: try MemorySize(parsing: memory).bytes, kernelPath: kernel ?? image.kernelPath)
        machine.initrdBytes = try image.commandInitramfs(words, shares: shares)
        machine.shares = shares
        machine.interface = .bare
        machine.hasStreams = true
        machine.engine = engine
        machine.showStatistics = stats
        machine.commandLine = DebianImage.commandLine
        return machine
    }
}

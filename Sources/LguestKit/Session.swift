// SPDX-License-Identifier: Apache-2.0
//
// One guest on this process from its first start to its last end, restarts included. All files are opened
// once, before the first instruction, since a confined process cannot open them again: a restart reads
// the same kernel and initrd files anew and keeps disks, networks and console.

import Boot
import Debug
import Devices
import Machine
import Monitor
import Support
import Trace

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A machine's files, devices and console, ready to be run.
public final class Session {
    private let configuration: MachineConfiguration
    private let options: SessionOptions
    private let clock = SystemClock()
    private let eventLoop: EventLoop
    private let kernelFile: InputFile
    private let initrdFile: InputFile?
    private let devices: MachineDevices
    private let console: KeptConsole
    private let terminal: TerminalBackend?
    private let tracing: Tracing?
    private let symbols: SymbolTable?
    private let debugger: GDBServer?
    private let coreFile: CoreFile?
    private let monitor: MonitorServer?
    /// The machine that runs now.
    private weak var machine: Machine?
    private var isConfined = false
    /// Kept over restarts.
    private var perfMap: PerfMap?

    /// Opens everything. Throws `.badInput` for files that are not usable, `.host` for what the host denies.
    public init(_ configuration: MachineConfiguration, _ options: SessionOptions) throws(LguestError) {
        self.configuration = configuration
        self.options = options
        let log = Log(options, verbose: configuration.verbose)
        eventLoop = try EventLoop(clock: clock)
        kernelFile = try InputFile(
            path: configuration.kernelPath, purpose: "kernel", maximumSize: KernelImage.maximumFileSize)
        if let bytes = configuration.initrdBytes {
            initrdFile = InputFile(name: "initramfs", bytes: bytes)
        } else if let path = configuration.initrdPath {
            initrdFile = try InputFile(path: path, purpose: "initrd", maximumSize: MemorySize.maximum)
        } else {
            initrdFile = nil
        }
        devices = try MachineDevices(configuration, eventLoop: eventLoop) { log.line(.warning, $0) }
        symbols = try Self.symbols(configuration, log)
        tracing = try Self.tracing(configuration, options, log)
        if let wanted = options.debugger {
            debugger = try GDBServer(wanted.address, eventLoop: eventLoop) { log.line(.info, $0) }
        } else {
            debugger = nil
        }
        coreFile = try options.corePath.map(CoreFile.init(path:))
        let screen = TerminalScreen()
        monitor = try Self.openMonitor(configuration, options, screen, eventLoop, log)
        let backend: any ConsoleBackend
        switch options.console {
        case .stdio: backend = TerminalBackend(eventLoop: eventLoop, clock: clock)
        case .file(let path):
            backend = TerminalBackend(
                input: try HostFiles.openNull(), output: try HostFiles.create(path), eventLoop: eventLoop,
                clock: clock)
        case .pty:
            // The name is what the user asked for, so it is said at every level.
            backend = try StreamConsole(
                pseudoTerminal: { log.line(.error, "the console is on \($0)") }, eventLoop: eventLoop)
        case .unix(let path): backend = try StreamConsole(socket: path, eventLoop: eventLoop)
        }
        terminal = backend as? TerminalBackend
        console = KeptConsole(monitor == nil ? backend : ScreenConsole(backend, screen))
        terminal?.onUserInterrupt = { [weak self] in self?.machine?.stop(.userInterrupt) }
        terminal?.onWarning = { log.line(.warning, $0) }
        terminal?.onNotice = { log.line(.info, $0) }
    }

    /// Runs the guest to its end. A restart is carried out here if the options say so. Throws when a machine
    /// could not be started.
    public func run() throws(LguestError) -> MachineOutcome {
        let log = Log(options, verbose: configuration.verbose)
        defer {
            console.end()
            tracing?.finish()
            debugger?.close()
            devices.close()
        }
        let identity = try Identity(username: options.username, chroot: options.chroot)
        if let name = options.name { Confinement.setProcessName(name) }
        console.open()
        scheduleTimeout()
        if configuration.showStatistics { try Machine.startSampling() }
        let usr1 = try SignalSource(signal: SIGUSR1, eventLoop: eventLoop) { [weak self] in
            if let self, let machine = self.machine { self.reportStatistics(machine) }
        }
        defer { withExtendedLifetime(usr1) {} }
        while true {
            let machine = try makeMachine(log)
            self.machine = machine
            try attachDebugger(to: machine, isFirst: !isConfined, log)
            try monitor?.serve(machine)
            machine.onHolding { [weak monitor] in monitor?.tell($0 ? "stopped" : "running") }
            if !isConfined {
                if options.isSandboxed { Sandbox.prepare(sandboxNeeds) }
                try identity.assume()
                try confine(log)
                isConfined = true
            }
            let outcome = machine.run()
            if configuration.showStatistics {
                console.pauseInput()
                reportStatistics(machine)
            }
            perfMap?.flush()
            guard outcome == .restart, options.restarts else {
                monitor?.close(outcome: outcome.word)
                return outcome
            }
            monitor?.tell("restarted")
            log.line(.info, "the guest restarts")
        }
    }

    /// The last step before the first instruction: everything is open, and nothing more will be.
    private func confine(_ log: Log) throws(LguestError) {
        for descriptor in options.unneededDescriptors { HostFiles.close(descriptor) }
        if options.console != .stdio && !configuration.hasStreams { HostFiles.detachInput() }
        guard options.isSandboxed else { return }
        try Sandbox.enter(sandboxNeeds)
        log.line(.debug, "the process is confined to its sandbox")
    }

    private var sandboxNeeds: SandboxNeeds {
        var needs = SandboxNeeds()
        needs.opensSockets = configuration.networks.contains { $0.kind == .user }
        needs.children = devices.networks.compactMap(\.childProcess)
        needs.folders = devices.folders.map { ($0.descriptor, $0.isReadOnly) }
        return needs
    }

    private func reportStatistics(_ machine: Machine) {
        perfMap?.flush()
        Report.line(machine.statistics(configuration.statisticsFormat))
    }

    private func makeMachine(_ log: Log) throws(LguestError) -> Machine {
        let request = BootRequest(
            kernel: try KernelImage(
                kernelFile, guestDecompress: configuration.guestDecompress,
                looksForLguest: configuration.interface != .bare),
            initrd: initrdFile, commandLine: configuration.commandLine)
        let machine = try Machine(
            request, memoryBytes: configuration.memoryBytes, clock: clock, eventLoop: eventLoop,
            backend: console, devices: devices, engine: configuration.engine, symbolFile: symbols,
            interface: configuration.interface,
            waitsForVirtioConsole: configuration.waitsForVirtioConsole)
        if let tracing { machine.record(for: tracing) }
        machine.keepsDevices = true
        machine.takesSamples = configuration.showStatistics
        if configuration.hasPerfMap {
            let map: PerfMap
            if let perfMap { map = perfMap } else { map = try PerfMap() }
            perfMap = map
            try machine.list(in: map)
        }
        machine.coreFile = coreFile
        if configuration.hasStatusPort { machine.addStatusPort() }
        devices.streams?.onStatus = { [weak machine] in machine?.stop(.guestStatus($0)) }
        log.line(
            .info,
            "\(configuration.kernelPath): Linux \(machine.kernel.linuxVersion?.description ?? "?"), entry 0x"
                + String(machine.kernel.entryPoint, radix: 16) + ", \(configuration.memoryBytes >> 20) MiB")
        return machine
    }

    private func attachDebugger(to machine: Machine, isFirst: Bool, _ log: Log) throws(LguestError) {
        guard let debugger, let wanted = options.debugger else { return }
        let waits = wanted.waits && isFirst
        try debugger.serve(machine)
        machine.debug(with: debugger, waits: waits)
        // What the user asked for, so it is said at every level.
        let verb = waits ? "the guest waits for" : "the guest can be debugged by"
        if isFirst { log.line(.error, "\(verb) gdb: target remote \(debugger.target)") }
    }

    /// A guest that was given a name must be found by it; another one need not.
    private static func openMonitor(
        _ configuration: MachineConfiguration, _ options: SessionOptions, _ screen: TerminalScreen,
        _ eventLoop: EventLoop, _ log: Log
    ) throws(LguestError) -> MonitorServer? {
        guard options.hasControlSocket else { return nil }
        do throws(LguestError) {
            return try ControlSocket.open(
                name: options.name, engine: configuration.engine.rawValue, screen: screen,
                eventLoop: eventLoop)
        } catch {
            if options.name != nil, error.code == .badInput { throw error }
            log.line(options.name == nil ? .info : .warning, "no control socket: \(error)")
            return nil
        }
    }

    private func scheduleTimeout() {
        guard let seconds = options.timeoutSeconds else { return }
        eventLoop.schedule(afterNanoseconds: UInt64(seconds * 1e9)) { [weak self] in
            self?.machine?.stop(.timeout)
        }
    }
}

/// Lines for people, as many as the level asks for.
struct Log: Sendable {
    private let level: LogLevel
    private let prefix: String

    init(_ options: SessionOptions, verbose: Bool) {
        level = verbose ? max(options.logLevel, .info) : options.logLevel
        prefix = options.name.map { "lguest: \($0.asOneLine): " } ?? "lguest: "
    }

    func line(_ importance: LogLevel, _ text: String) {
        if importance <= level { Report.line(prefix + text) }
    }
}

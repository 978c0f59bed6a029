// SPDX-License-Identifier: Apache-2.0
//
// The library's front door: run a guest on this process's terminal, or build a `Machine` yourself.

@_exported import Boot
@_exported import Devices
@_exported import Machine
@_exported import Support

/// Boots a guest on standard input and output and runs it to its end. The terminal is put back on
/// every way out.
///
/// Throws when nothing could be started: `.badInput` for the files and sizes given, `.host` for what the
/// host does not give.
public func runOnTerminal(_ configuration: MachineConfiguration) throws(LguestError) -> MachineOutcome {
    let clock = SystemClock()
    let eventLoop = try EventLoop(clock: clock)
    let terminal = TerminalBackend(eventLoop: eventLoop, clock: clock)
    let request = try BootRequest(
        kernelPath: configuration.kernelPath, initrdPath: configuration.initrdPath,
        commandLine: configuration.commandLine)
    let devices = try MachineDevices(configuration, eventLoop: eventLoop) { Report.line("lguest: \($0)") }
    let machine = try Machine(
        request, memoryBytes: configuration.memoryBytes, clock: clock, eventLoop: eventLoop,
        backend: terminal, devices: devices, engine: configuration.engine)
    terminal.onUserInterrupt = { [weak machine] in machine?.stop(.userInterrupt) }
    terminal.onWarning = { Report.line("lguest: \($0)") }
    if configuration.verbose {
        terminal.onNotice = { Report.line("lguest: \($0)") }
        Report.line(
            "lguest: \(configuration.kernelPath): Linux \(machine.kernel.linuxVersion?.description ?? "?"), entry 0x"
                + String(machine.kernel.entryPoint, radix: 16) + ", \(configuration.memoryBytes >> 20) MiB")
    }
    defer { terminal.stop() }
    let outcome = machine.run()
    if configuration.showStatistics {
        terminal.stop()
        Report.line(machine.statistics)
    }
    return outcome
}

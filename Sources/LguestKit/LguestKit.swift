// SPDX-License-Identifier: Apache-2.0
//
// The library's front door: run a guest on this process's terminal, or build a `Machine` yourself.

@_exported import Boot
@_exported import Devices
@_exported import Machine
@_exported import Support
@_exported import Tap
@_exported import Trace

/// Boots a guest and runs it to its end, by default on standard input and output. The terminal is put back
/// on every way out.
///
/// Throws when nothing could be started: `.badInput` for the files and sizes given, `.host` for what the
/// host does not give.
public func runOnTerminal(
    _ configuration: MachineConfiguration, _ options: SessionOptions = SessionOptions()
) throws(LguestError) -> MachineOutcome {
    try Session(configuration, options).run()
}

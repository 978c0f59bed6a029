// SPDX-License-Identifier: Apache-2.0
//
// The one place where the command line meets LguestKit: runs a machine, and turns its end into ours.

import LguestKit
import Support

enum RunMachine {
    /// Status of a run that `--timeout` has ended, that of timeout(1).
    static let timeoutStatus: Int32 = 124

    /// Returns when the guest has powered itself off. Throws an `Ending` when it ended in another way, and
    /// an `LguestError` when it could not be started.
    static func untilItEnds(_ machine: MachineConfiguration, _ options: SessionOptions) throws {
        if !options.isSandboxed, options.logLevel >= .warning {
            StandardError.print(
                "lguest: warning: without the sandbox a guest that breaks out of lguest has all your rights "
                    + "(--no-sandbox)")
        }
        switch try runOnTerminal(machine, options) {
        case .powerOff, .restart, .quit:
            return
        case .killed(let report):
            StandardError.print(report)
            throw Ending.exit(LguestError.Code.guest.exitStatus)
        case .userInterrupt:
            throw Ending.interrupted
        case .timeout:
            let seconds = options.timeoutSeconds ?? 0
            StandardError.print("lguest: the guest was ended after \(seconds) s (--timeout)")
            throw Ending.exit(timeoutStatus)
        case .guestStatus(let status):
            if status != 0 { throw Ending.exit(Int32(status)) }
        }
    }
}

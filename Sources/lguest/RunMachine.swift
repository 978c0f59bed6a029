// SPDX-License-Identifier: Apache-2.0
//
// The one place where the command line meets LguestKit: runs a machine on this terminal, again after
// each restart, and turns its end into ours.

import LguestKit
import Support

enum RunMachine {
    /// Returns when the guest has powered itself off. Throws an `Ending` when it ended in another way, and
    /// an `LguestError` when it could not be started.
    static func untilItEnds(_ machine: MachineConfiguration) throws {
        while true {
            switch try runOnTerminal(machine) {
            case .powerOff:
                return
            case .restart:
                // As after a real reset: kernel and initrd are read anew (docs: lguest ABI 10.6).
                continue
            case .killed(let report):
                StandardError.print(report)
                throw Ending.exit(LguestError.Code.guest.exitStatus)
            case .userInterrupt:
                throw Ending.interrupted
            }
        }
    }
}

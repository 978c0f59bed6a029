// SPDX-License-Identifier: Apache-2.0
//
// What the process tells the host about itself, and gives up.

import CLauncher

enum Confinement {
    /// The name in the host's list of processes; it keeps 15 bytes.
    static func setProcessName(_ name: String) {
        // SAFETY: Swift passes a NUL-terminated copy that lives through the call.
        lguest_set_process_name(name)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Options that give the guest devices.

import ArgumentParser
import Boot
import LguestKit
import Support

struct DeviceOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Disk image, or block device; again for vdb, vdc, ... Endings: ',readonly' and "
                + "',overlay[=OVERLAYFILE]' leave FILE as it is.",
            valueName: "FILE"))
    var block: [String] = []

    @Flag(name: .long, help: "A random number generator, fed by the host's.")
    var rng = false

    @Option(
        name: .long, help: ArgumentHelp("Ask the guest to give SIZE of its memory back.", valueName: "SIZE"))
    var balloon: String?

    /// Throws `.badInput` for words that make no sense.
    func apply(to machine: inout MachineConfiguration) throws(LguestError) {
        for text in block { machine.disks.append(try DiskSpecification(parsing: text)) }
        machine.hasRandom = rng
        if let balloon {
            let size = try MemorySize(parsing: balloon).bytes
            guard size < machine.memoryBytes else {
                throw LguestError(.badInput, "the balloon is as large as the guest's memory")
            }
            machine.balloonBytes = size
        }
    }
}

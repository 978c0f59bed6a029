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
            valueName: "FILE"), completion: .file())
    var block: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Network card on a TAP interface whose end on the host has the address IP, or is in a bridge.",
            valueName: "IP[:MAC]|bridge:NAME[:MAC]"))
    var tunnet: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Network card without privileges: 'user' (endings ',hostfwd=tcp:HOSTPORT:GUESTPORT', ',mac=MAC'), "
                + "or 'passt'.",
            valueName: "user|passt"), completion: .list(["user", "passt"]))
    var net: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Folder that the guest may mount by the 9P tag 'share' (the next ones: share2, ...), read-only "
                + "unless ':rw' is said.",
            valueName: "DIR[:rw]"), completion: .directory)
    var share: [String] = []

    @Flag(name: .long, help: "A random number generator, fed by the host's.")
    var rng = false

    @Option(
        name: .long, help: ArgumentHelp("Ask the guest to give SIZE of its memory back.", valueName: "SIZE"))
    var balloon: String?

    /// Throws `.badInput` for words that make no sense.
    func apply(to machine: inout MachineConfiguration) throws(LguestError) {
        for text in block { machine.disks.append(try DiskSpecification(parsing: text)) }
        for text in tunnet { machine.networks.append(try NetworkSpecification(tunnet: text)) }
        for text in net { machine.networks.append(try NetworkSpecification(net: text)) }
        for (index, text) in share.enumerated() {
            machine.shares.append(try ShareSpecification(parsing: text, tag: ShareSpecification.tag(index)))
        }
        machine.hasRandom = rng
        if let balloon {
            let size = try MemorySize.amount(parsing: balloon)
            guard size < machine.memoryBytes else {
                throw LguestError(.badInput, "the balloon is as large as the guest's memory")
            }
            guard size % 4096 == 0 else {
                throw LguestError(.badInput, "--balloon=\(balloon.asOneLine): no whole number of 4 KiB pages")
            }
            machine.balloonBytes = size
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// From the device list of a configuration to devices with their files open.

import Devices
import Support

/// The devices of a machine beside its console, in the order in which the guest finds them.
public struct MachineDevices {
    public private(set) var all: [any VirtioDevice] = []
    public private(set) var disks: [Disk] = []
    public private(set) var networks: [Network] = []

    /// The shared folders.
    public private(set) var folders: [P9Server] = []
    /// The standard streams, if the guest has them.
    public private(set) var streams: P9Streams?

    private var warn: (String) -> Void = { _ in }

    /// No devices.
    public init() {}

    /// Opens everything that `configuration` names. Throws `.badInput` for files that are not usable, `.host`
    /// for what the host does not give.
    public init(
        _ configuration: MachineConfiguration, eventLoop: EventLoop, warn: @escaping (String) -> Void
    ) throws(LguestError) {
        self.warn = warn
        for (index, specification) in configuration.disks.enumerated() {
            let disk = try Disk(specification, eventLoop: eventLoop)
            disk.onWarning = warn
            disks.append(disk)
            all.append(VirtioBlock(disk: disk, index: index))
        }
        let random = SystemRandom()
        for specification in configuration.networks {
            let network = try Network(specification, eventLoop: eventLoop, random: random, warn: warn)
            networks.append(network)
            all.append(VirtioNet(network: network))
        }
        for share in configuration.shares {
            let server = try P9Server(path: share.path, isReadOnly: share.isReadOnly)
            folders.append(server)
            all.append(VirtioP9(server: server, tag: share.tag))
        }
        if configuration.hasStreams {
            let streams = P9Streams(eventLoop: eventLoop)
            all.append(VirtioP9(server: streams, tag: ShareSpecification.streamsTag))
            self.streams = streams
        }
        if configuration.hasRandom { all.append(VirtioEntropy(source: random)) }
        if let bytes = configuration.balloonBytes {
            all.append(VirtioBalloon(targetPages: UInt32(clamping: bytes >> 12)))
        }
    }

    /// Puts everything on the page, in the original's order: its console came last. What Linux 2.6.24 has no drivers
    /// for it cannot be told about.
    func add(to page: DevicePage, console: VirtioConsole) throws(LguestError) {
        let (known, unknown) = page.sort(all + [console])
        for device in known { try page.add(device).onFailure = driverIsBroken }
        if !unknown.isEmpty {
            let names = unknown.map(\.name).joined(separator: ", ")
            warn("Linux 2.6.24 has no drivers for these devices, and does not see them: \(names)")
        }
    }

    /// Puts what Linux 2.6.23 has drivers for on its bus, and says what it has none for.
    func add(to bus: LguestDMABus, console: any ConsoleBackend) throws(LguestError) {
        try bus.addConsole(console)
        for disk in disks { try bus.addDisk(disk) }
        for network in networks { try bus.addNetwork(network) }
        if all.count > disks.count + networks.count {
            warn("Linux 2.6.23 has no drivers for --rng and --balloon: it sees neither")
        }
    }

    /// Said once for each device that stands still because its driver broke the rules.
    func driverIsBroken(_ device: String, _ error: VirtqueueError) {
        warn(
            "the guest's driver for \(device) is broken: \(error); the device stands still until it is reset")
    }

    /// Finishes what is in flight and closes the files, so that another machine may open them.
    public func close() {
        for disk in disks { disk.close() }
        for network in networks { network.close() }
    }
}

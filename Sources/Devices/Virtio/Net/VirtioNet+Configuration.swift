// SPDX-License-Identifier: Apache-2.0
//
// What the driver gets to know of a network card (virtio 1.0, clause 5.1.3 and 5.1.4).

extension VirtioFeatures {
    /// The driver may leave checksums to us.
    static let netChecksum = VirtioFeatures(bit: 0)
    /// We may leave checksums to the driver.
    static let netGuestChecksum = VirtioFeatures(bit: 1)
    static let netAddress = VirtioFeatures(bit: 5)
    /// We may give the driver long segments.
    static let netGuestTCP4 = VirtioFeatures(bit: 7)
    static let netGuestTCP6 = VirtioFeatures(bit: 8)
    static let netGuestCongestion = VirtioFeatures(bit: 9)
    /// The driver may give us long segments.
    static let netHostTCP4 = VirtioFeatures(bit: 11)
    static let netHostTCP6 = VirtioFeatures(bit: 12)
    static let netHostCongestion = VirtioFeatures(bit: 13)
    /// One frame may fill several receive buffers.
    static let netMergeableBuffers = VirtioFeatures(bit: 15)
    /// The configuration says whether the cable is plugged in.
    static let netStatus = VirtioFeatures(bit: 16)
}

extension VirtioNet {
    public var offeredFeatures: VirtioFeatures {
        var features: VirtioFeatures = [
            .netAddress, .netMergeableBuffers, .netStatus, .indirectDescriptors,
        ]
        let offloads = network.backend.offloads
        if offloads.contains(.checksum) { features.formUnion(.netChecksum) }
        if offloads.contains(.tcp4) { features.formUnion(.netHostTCP4) }
        if offloads.contains(.tcp6) { features.formUnion(.netHostTCP6) }
        if offloads.contains(.congestion) { features.formUnion(.netHostCongestion) }
        let leaves = network.backend.leaves
        if leaves.contains(.checksum) { features.formUnion(.netGuestChecksum) }
        if leaves.contains(.tcp4) { features.formUnion(.netGuestTCP4) }
        if leaves.contains(.tcp6) { features.formUnion(.netGuestTCP6) }
        if leaves.contains(.congestion) { features.formUnion(.netGuestCongestion) }
        return features
    }

    /// What the driver takes unfinished.
    var acceptedOffloads: NetworkOffloads {
        var offloads: NetworkOffloads = []
        if features.contains(.netGuestChecksum) { offloads.formUnion(.checksum) }
        if features.contains(.netGuestTCP4) { offloads.formUnion(.tcp4) }
        if features.contains(.netGuestTCP6) { offloads.formUnion(.tcp6) }
        if features.contains(.netGuestCongestion) { offloads.formUnion(.congestion) }
        return offloads
    }

    /// Clause 5.1.4: six bytes of address, u16 status (bit 0: link is up), u16 pairs of queues.
    public var configuration: [UInt8] { network.mac.bytes + [1, 0, 1, 0] }

    public var fields: [VirtioField]? { [VirtioField(type: 0x41, network.mac.bytes)] }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a descriptor on the lguest device page looks like (lguest ABI 8.1). From Linux 2.6.25 on it has fixed places
// for queues, features and configuration; in 2.6.24 it is a list of fields, each with its type and length before it.

import Support

/// The two forms of descriptors.
public enum DevicePageFormat: Sendable {
    /// Linux 2.6.25 to 3.19.
    case fixed
    /// Linux 2.6.24.
    case fields

    var dialect: VirtioDialect { self == .fixed ? .standard : .linux2624 }
}

/// One descriptor as at power-on, and where in it the guest writes.
struct DevicePageDescriptor {
    private(set) var bytes: [UInt8]
    /// Offset of the status byte.
    let statusOffset: UInt64
    /// Offset of the features that the guest has accepted; nil where there are none to choose from.
    let acceptedOffset: UInt64?
    /// Offset of what may change later; nil where nothing may.
    let configurationOffset: UInt64?

    /// Bits 0–31: older drivers know no others.
    static let featureBytes = 4

    init(
        _ format: DevicePageFormat, _ device: any VirtioDevice, queues: [DevicePageTransport.Queue],
        features: VirtioFeatures
    ) {
        let queueBytes = queues.map(Self.bytes(of:))
        switch format {
        case .fixed:
            let configuration = device.configuration
            statusOffset = 4
            let accepted = 5 + 8 * queues.count + Self.featureBytes
            acceptedOffset = UInt64(accepted)
            configurationOffset = UInt64(accepted + Self.featureBytes)
            bytes = [
                UInt8(truncatingIfNeeded: device.deviceID), UInt8(truncatingIfNeeded: queues.count),
                UInt8(Self.featureBytes), UInt8(truncatingIfNeeded: configuration.count), 0,
            ]
            bytes += queueBytes.joined() + [UInt8](repeating: 0, count: 2 * Self.featureBytes)
            bytes.setLittleEndian(
                features.rawValue, at: accepted - Self.featureBytes, width: Self.featureBytes)
            bytes += configuration
        case .fields:
            statusOffset = 2
            (acceptedOffset, configurationOffset) = (nil, nil)
            let fields = queueBytes.map { VirtioField(type: VirtioField.queue, $0) } + (device.fields ?? [])
            let list = fields.flatMap { [$0.type, UInt8(truncatingIfNeeded: $0.value.count)] + $0.value }
            bytes = [UInt8(truncatingIfNeeded: device.deviceID), UInt8(truncatingIfNeeded: list.count), 0]
            bytes += list
        }
    }

    /// Number of entries, interrupt, page.
    private static func bytes(of queue: DevicePageTransport.Queue) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 8)
        bytes.setLittleEndian(UInt64(queue.layout.size), at: 0, width: 2)
        bytes.setLittleEndian(UInt64(queue.irq), at: 2, width: 2)
        bytes.setLittleEndian(queue.page >> 12, at: 4, width: 4)
        return bytes
    }
}

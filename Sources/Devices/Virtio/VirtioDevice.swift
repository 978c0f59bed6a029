// SPDX-License-Identifier: Apache-2.0
//
// What a virtio device is to its transport. A device knows virtqueues, features and its own
// configuration bytes. It does not know whether the driver reaches it over PCI or over the old
// lguest device page, nor how an interrupt gets to the CPU.

/// A device of the virtio standard (virtio 1.0, clause 2), without its transport.
///
/// The transport calls everything here on the thread of the virtual CPU. Buffers may be completed
/// at any time after `queueNotified`, also from a later event.
public protocol VirtioDevice: AnyObject {
    /// What people call it, for messages: "console".
    var name: String { get }
    /// The virtio device number (clause 5): 1 net, 2 block, 3 console, 4 entropy.
    var deviceID: UInt16 { get }
    /// The feature bits of this device; `version1` is the transport's to offer.
    var offeredFeatures: VirtioFeatures { get }
    /// Feature bits that only drivers from before virtio 1.0 may have, beside `offeredFeatures`.
    var legacyFeatures: VirtioFeatures { get }
    /// For each virtqueue the largest size it may have (entries, a power of two).
    var queueSizes: [UInt16] { get }
    /// The device's configuration as the driver reads it (clause 2.3), little-endian. Its length never
    /// changes.
    var configuration: [UInt8] { get }
    /// What Linux 2.6.24 reads in place of `configuration`; nil for devices that it has no driver for.
    var fields: [VirtioField]? { get }

    /// The driver writes the low `width` bytes (1, 2 or 4) of `value` at `offset` of the configuration, all
    /// of them inside it. May come in any state, before the driver has even reset the device.
    func writeConfiguration(offset: Int, width: Int, value: UInt32)
    /// The driver is ready (DRIVER_OK): the queues may be used from now on, until `reset`. The transport
    /// calls `queueNotified` for each queue afterwards, so buffers offered early are not forgotten.
    func activate(_ activation: VirtioActivation)
    /// The driver says that it has put buffers into queue `index`. Only between `activate` and `reset`.
    func queueNotified(_ index: Int)
    /// The driver has given the device up: forget the queues and all buffers in flight. May come at any time.
    func reset()
}

extension VirtioDevice {
    public var legacyFeatures: VirtioFeatures { [] }
    public var fields: [VirtioField]? { nil }
    public func writeConfiguration(offset: Int, width: Int, value: UInt32) {}
}

/// How drivers write the headers of requests and frames.
public enum VirtioDialect: Sendable {
    /// As the standard has it, since Linux 2.6.25.
    case standard
    /// Linux 2.6.24: a block request's header has eight bytes more, a frame's two bytes less.
    case linux2624
}

/// A piece of a device's configuration in Linux 2.6.24 (lguest ABI 8.1).
public struct VirtioField: Equatable, Sendable {
    /// The type of fields that describe a virtqueue. Those of a device's own begin at 0x40.
    static let queue: UInt8 = 2

    /// What it is, 1…127; bit 7 is the guest's, to mark what it has read.
    let type: UInt8
    /// Up to 255 bytes, little-endian.
    let value: [UInt8]

    init(type: UInt8, _ value: [UInt8]) {
        self.type = type
        self.value = value
    }

    /// A number of `width` bytes.
    init(type: UInt8, _ number: UInt64, width: Int) {
        var bytes = [UInt8](repeating: 0, count: width)
        bytes.setLittleEndian(number, at: 0, width: width)
        self.init(type: type, bytes)
    }
}

/// What driver and device have agreed upon, good until the device is reset.
public struct VirtioActivation {
    /// The feature bits that both sides know.
    public let features: VirtioFeatures
    /// The queues by index; nil where the driver has not enabled one.
    public let queues: [Virtqueue?]
    /// How the driver writes its headers.
    public let dialect: VirtioDialect
    /// Whether the driver may still say which features it has accepted: another activation of the same queues follows.
    public let isProvisional: Bool
    /// Tells the driver that the configuration has changed (clause 2.3.2).
    public let configurationChanged: () -> Void

    public init(
        features: VirtioFeatures, queues: [Virtqueue?], dialect: VirtioDialect = .standard,
        isProvisional: Bool = false, configurationChanged: @escaping () -> Void
    ) {
        self.features = features
        self.queues = queues
        self.dialect = dialect
        self.isProvisional = isProvisional
        self.configurationChanged = configurationChanged
    }

    /// Queue `index`, or nil where there is none.
    public func queue(_ index: Int) -> Virtqueue? {
        queues.indices.contains(index) ? queues[index] : nil
    }
}

/// A set of feature bits (clause 2.2): 0–23 belong to the device type, 24 and up to rings and transport.
public struct VirtioFeatures: OptionSet, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The set of one bit, `bit` in 0…63.
    public init(bit: UInt64) { rawValue = 1 << (bit & 63) }

    /// Legacy drivers only: interrupt when the queue runs empty, even if suppressed.
    public static let notifyOnEmpty = VirtioFeatures(bit: 24)
    /// Descriptors may name a table of descriptors (clause 2.4.5.3).
    public static let indirectDescriptors = VirtioFeatures(bit: 28)
    /// `used_event` and `avail_event` say when to notify (clause 2.4.7, 2.4.8).
    public static let eventIndex = VirtioFeatures(bit: 29)
    /// The driver speaks virtio 1.0 (clause 6).
    public static let version1 = VirtioFeatures(bit: 32)
}

/// The device status byte (clause 2.1).
public struct VirtioStatus: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let acknowledge = VirtioStatus(rawValue: 1)
    public static let driver = VirtioStatus(rawValue: 2)
    public static let driverOK = VirtioStatus(rawValue: 4)
    public static let featuresOK = VirtioStatus(rawValue: 8)
    /// Set by the device: its driver has done what cannot be carried out, only a reset helps.
    public static let needsReset = VirtioStatus(rawValue: 0x40)
    /// Set by the driver: it has given up on the device.
    public static let failed = VirtioStatus(rawValue: 0x80)
}

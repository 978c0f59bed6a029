// SPDX-License-Identifier: Apache-2.0
//
// A folder of the host as a virtio 9P transport: one queue of requests with room for their answers, and the tag by which
// the guest mounts it in the configuration (Linux's include/uapi/linux/virtio_9p.h names the fields).

/// A virtio 9P device. Belongs to the thread of the virtual CPU.
public final class VirtioP9 {
    /// Linux makes requests of at most 128 pages.
    static let queueSize: UInt16 = 128
    /// A request cannot be longer than the largest message.
    static let requestLimit = Int(P9Server.largestMessage) + 4096

    let server: any P9Answering
    let tag: [UInt8]
    var activation: VirtioActivation?

    /// The guest mounts the folder by `tag`, at most 31 bytes of it.
    public init(server: any P9Answering, tag: String) {
        self.server = server
        self.tag = Array(tag.utf8.prefix(31))
    }
}

extension VirtioFeatures {
    /// The configuration holds a tag.
    public static let p9Tag = VirtioFeatures(bit: 0)
}

extension VirtioP9: VirtioDevice {
    public var name: String { "share" }
    public var deviceID: UInt16 { 9 }
    public var offeredFeatures: VirtioFeatures { .p9Tag }
    public var queueSizes: [UInt16] { [Self.queueSize] }
    public var configuration: [UInt8] { [UInt8(tag.count), 0] + tag }

    public func activate(_ activation: VirtioActivation) { self.activation = activation }

    public func queueNotified(_ index: Int) {
        if index == 0 { answerRequests() }
    }

    public func reset() {
        activation = nil
        server.reset()
    }
}

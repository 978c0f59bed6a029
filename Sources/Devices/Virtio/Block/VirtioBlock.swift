// SPDX-License-Identifier: Apache-2.0
//
// The disk: one queue of requests (virtio 1.0, clause 5.2; discard and write-zeroes from virtio 1.1). What
// holds the bytes is a `Disk`. `+Queues` has the requests, `+Configuration` what the driver is told.

import Support

/// A virtio block device. Belongs to the thread of the virtual CPU.
public final class VirtioBlock {
    static let sector: UInt64 = 512
    /// The queue size of the reference launcher (lguest ABI 8.2, 9.3).
    static let queueSize: UInt16 = 256
    /// Data buffers in one request: a queue's worth less header and status (lguest ABI 8.5).
    static let segmentLimit: UInt32 = 254

    public let disk: Disk
    /// The guest's name for it, in messages: "vda".
    public let guestName: String
    var activation: VirtioActivation?
    /// Requests that the disk works on, by token.
    var pending: [UInt64: BlockRequest] = [:]
    var nextToken: UInt64 = 0

    /// - Parameter index: 0 for vda, 1 for vdb, …
    public init(disk: Disk, index: Int) {
        self.disk = disk
        guestName = Self.guestName(index)
        disk.onCompletion = { [weak self] done in self?.completed(done) }
    }

    /// Whole sectors; a last part of a sector cannot be reached, as in the original (lguest ABI 10.4).
    var sectorCount: UInt64 { disk.image.byteCount / Self.sector }

    /// vda … vdz, vdaa …
    static func guestName(_ index: Int) -> String {
        var (letters, rest) = ("", index)
        repeat {
            letters = String(UnicodeScalar(UInt8(97 + rest % 26))) + letters
            rest = rest / 26 - 1
        } while rest >= 0
        return "vd" + letters
    }
}

extension VirtioBlock: VirtioDevice {
    public var name: String { "block \(guestName)" }
    public var deviceID: UInt16 { 2 }
    public var queueSizes: [UInt16] { [Self.queueSize] }

    public func activate(_ activation: VirtioActivation) {
        self.activation = activation
    }

    public func queueNotified(_ index: Int) {
        if index == 0 { takeRequests() }
    }

    /// Waits for the requests in flight: after a reset nothing may write to guest memory any more.
    public func reset() {
        activation = nil
        disk.finish()
        pending.removeAll()
    }
}

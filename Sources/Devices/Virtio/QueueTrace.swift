// SPDX-License-Identifier: Apache-2.0
//
// What a virtqueue tells the tap: the way of each buffer from the driver to the device and back.

import Tap

/// A queue's line to the tap, with the queue's name.
public struct QueueTrace {
    let tap: TraceTap
    /// Number of the queue's name (`TraceTap.name`): `net.tx`.
    let name: UInt32

    public init(_ tap: TraceTap, _ device: any VirtioDevice, queue: Int) {
        self.tap = tap
        let roles = Self.roles[device.deviceID] ?? []
        let role = roles.indices.contains(queue) ? roles[queue] : String(queue)
        name = tap.name("\(device.name).\(role)")
    }

    /// What the queues of each device number are for (virtio 1.0, clause 5).
    private static let roles: [UInt16: [String]] = [
        1: ["rx", "tx"], 2: ["requests"], 3: ["rx", "tx"], 4: ["requests"], 5: ["inflate", "deflate"],
    ]

    @inline(__always)
    func note(_ kind: CommonKind, _ chain: DescriptorChain, _ bytes: UInt32) {
        guard tap.wants(.virtio) else { return }
        let first = chain.readable.first ?? chain.writable.first
        tap.note(
            kind, name, UInt32(chain.head), bytes, UInt32(truncatingIfNeeded: first?.address ?? 0))
    }

    @inline(__always)
    func noteInterrupt() {
        if tap.wants([.virtio, .irq]) { tap.note(.interruptRaised, name) }
    }

    /// The time from the driver's kick to the device's last word on it.
    @inline(__always)
    func kick(_ body: () -> Void) {
        guard tap.wants(.virtio) else { return body() }
        let mark = tap.begin(.queueKick, name)
        body()
        tap.end(mark)
    }
}

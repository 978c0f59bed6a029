// SPDX-License-Identifier: Apache-2.0
//
// Drivers that break every rule, against each device over both transports: the device marks itself as broken
// or carries on, nothing crashes, nothing outside guest memory is touched (behind which an inaccessible
// page waits), and a reset brings the device back.

import GuestMemory
import Support
import Testing

@testable import Devices

@Suite("Hostile drivers")
struct HostileDriverTests {
    enum Kind: CaseIterable, Sendable {
        case block, net, entropy, balloon, console
    }

    private let file = TemporaryFile([UInt8](repeating: 7, count: 1 << 16))

    private func device(_ kind: Kind, _ loop: EventLoop) throws -> any VirtioDevice {
        switch kind {
        case .block:
            return VirtioBlock(
                disk: try Disk(DiskSpecification(path: file.path), eventLoop: loop), index: 0)
        case .net:
            let mac = try MACAddress(parsing: "02:00:00:00:00:01")
            return VirtioNet(network: Network(backend: FakeNetwork(), mac: mac))
        case .entropy: return VirtioEntropy(source: FakeRandom())
        case .balloon: return VirtioBalloon()
        case .console: return VirtioConsole(backend: BufferBackend())
        }
    }

    private func rig(_ kind: Kind, _ transport: TransportKind) throws -> DeviceRig {
        let loop = try EventLoop(clock: SystemClock())
        return try DeviceRig(
            try device(kind, loop), transport, eventLoop: loop, features: .indirectDescriptors)
    }

    /// The queue that a device reads from, or fills.
    private func queue(_ kind: Kind) -> Int { kind == .net || kind == .console ? 1 : 0 }

    @Test(
        "each rule broken by itself", arguments: Kind.allCases, TransportKind.allCases)
    func rules(kind: Kind, transport: TransportKind) throws {
        let buffer = DeviceRig.buffers
        let attacks: [(String, (inout FakeQueue) throws -> Void)] = [
            (
                "a circle",
                { queue in
                    try queue.describe(0, buffer, 16, flags: 1, next: 0)
                    try queue.offer(0)
                }
            ),
            (
                "a buffer outside memory",
                { queue in
                    try queue.describe(0, 0xFFFF_FFFF_FFFF_FFF0, 4096)
                    try queue.offer(0)
                }
            ),
            (
                "a buffer across the end",
                { queue in
                    try queue.describe(0, DeviceRig.ramBytes + 256 * 4096 - 8, 16, flags: 2)
                    try queue.offer(0)
                }
            ),
            ("a head that does not exist", { queue in try queue.offer(queue.size) }),
            (
                "a next that does not exist",
                { queue in
                    try queue.describe(0, buffer, 16, flags: 1, next: 0xFFFF)
                    try queue.offer(0)
                }
            ),
            (
                "an index that jumps",
                { queue in
                    try queue.memory.write(UInt16(0x8000), at: queue.available + 2)
                }
            ),
            (
                "readable behind writable",
                { queue in
                    try queue.describe(0, buffer, 16, flags: 3, next: 1)
                    try queue.describe(1, buffer, 16)
                    try queue.offer(0)
                }
            ),
            (
                "an indirect table in itself",
                { queue in
                    try queue.describe(0, buffer, 16, flags: 4)
                    try queue.describe(0, buffer, 16, flags: 4, table: buffer)
                    try queue.offer(0)
                }
            ),
            (
                "4 GiB and more",
                { queue in
                    for index in 0..<UInt16(100) {
                        try queue.describe(index, 0, UInt32(DeviceRig.ramBytes), flags: 1, next: index + 1)
                    }
                    try queue.describe(100, 0, .max)
                    try queue.offer(0)
                }
            ),
        ]
        for (name, attack) in attacks {
            let rig = try rig(kind, transport)
            try attack(&rig.queues[queue(kind)])
            rig.kick(queue(kind))
            #expect(rig.isBroken, "\(name)")
            #expect(rig.failures.count == 1, "\(name)")
            // It stands still, and comes back.
            rig.kick(queue(kind))
            try rig.reset()
            #expect(!rig.isBroken, "\(name)")
        }
    }

    @Test(
        "random descriptors", arguments: Kind.allCases, TransportKind.allCases)
    func random(kind: Kind, transport: TransportKind) throws {
        var random = SplitMix64(seed: 99)
        for _ in 0..<40 {
            let rig = try rig(kind, transport)
            for _ in 0..<20 {
                for index in rig.queues.indices {
                    try scribble(&rig.queues[index], &random)
                    rig.kick(index)
                }
                rig.eventLoop.poll()
                if rig.isBroken {
                    try rig.reset()
                    try rig.start(.indirectDescriptors)
                }
            }
            try rig.reset()
        }
    }

    /// A few descriptors, mostly plausible, with requests that a disk may understand.
    private func scribble(_ queue: inout FakeQueue, _ random: inout SplitMix64) throws {
        for index in 0..<UInt16(8) {
            let anywhere = random.next()
            let addresses = [
                DeviceRig.buffers, DeviceRig.buffers + anywhere & 0xFFFF, DeviceRig.ramBytes + 0xF_FFF0,
                anywhere,
                queue.used, queue.descriptors,
            ]
            let lengths: [UInt32] = [0, 1, 10, 16, 512, 4096, UInt32(anywhere & 0xFFFF), .max]
            try queue.describe(
                index, random.oneOf(addresses, else: 0), random.oneOf(lengths, else: 0),
                flags: UInt16.random(in: 0..<8, using: &random) & random.oneOf([3, 7, 2, 1, 0], else: 0),
                next: UInt16.random(in: 0..<9, using: &random))
        }
        try queue.memory.write(UInt32.random(in: 0..<16, using: &random), at: DeviceRig.buffers)
        try queue.memory.write(UInt64.random(in: 0..<140, using: &random), at: DeviceRig.buffers + 8)
        try queue.offer(UInt16.random(in: 0..<8, using: &random))
    }
}

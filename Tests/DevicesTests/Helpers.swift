// SPDX-License-Identifier: Apache-2.0
//
// What the device tests share: interrupt lines that remember, a random source that always says the same,
// and a machine without a CPU.

import GuestMemory
import Support

@testable import Devices

/// Interrupt lines that count.
final class RecordingInterrupts: InterruptLines {
    private(set) var raised: [Int: Int] = [:]
    private(set) var isUp: Set<Int> = []

    func raise(irq: Int) {
        raised[irq, default: 0] += 1
        isUp.insert(irq)
    }

    func lower(irq: Int) { isUp.remove(irq) }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func oneOf<T>(_ choices: [T], else fallback: T) -> T {
        choices.randomElement(using: &self) ?? fallback
    }
}

/// RAM, buses and a console in slot 1.
final class Rig {
    static let ramBytes: UInt64 = 1 << 20

    let memory: GuestMemory
    let ports = PortBus()
    let mmio = MMIOBus()
    let interrupts = RecordingInterrupts()
    let backend: BufferBackend
    let console: VirtioConsole
    let bus: VirtioPCIBus
    let transport: VirtioPCITransport
    private(set) var failures: [VirtqueueError] = []

    init(windowSize: ConsoleWindowSize? = nil, eventLoop: EventLoop? = nil) throws {
        memory = try GuestMemory(bytes: Self.ramBytes)
        backend = BufferBackend(windowSize: windowSize)
        console = VirtioConsole(backend: backend, eventLoop: eventLoop)
        bus = VirtioPCIBus(memory: memory, interrupts: interrupts, ports: ports, mmio: mmio)
        transport = try bus.add(console)
        console.start()
        transport.onFailure = { [weak self] _, error in self?.failures.append(error) }
    }
}

/// A device that hands its queues to the test.
final class ProbeDevice: VirtioDevice {
    let name = "probe"
    let deviceID: UInt16 = 4
    var offeredFeatures: VirtioFeatures = [.indirectDescriptors, .eventIndex]
    let queueSizes: [UInt16] = [8]
    let configuration: [UInt8] = []
    private(set) var activations = 0
    private(set) var resets = 0
    private(set) var notified: [Int] = []

    func writeConfiguration(offset: Int, width: Int, value: UInt32) {}
    func activate(_ activation: VirtioActivation) { activations += 1 }
    func queueNotified(_ index: Int) { notified.append(index) }
    func reset() { resets += 1 }
}

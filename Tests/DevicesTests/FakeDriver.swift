// SPDX-License-Identifier: Apache-2.0
//
// The guest's side: a small virtio-PCI driver that does what Linux does, through ports and MMIO only.

import GuestMemory

@testable import Devices

/// A queue as its driver sees it: descriptor n belongs to buffer n, one descriptor for each chain.
struct FakeQueue {
    let memory: GuestMemory
    let size: UInt16
    let descriptors: UInt64
    let available: UInt64
    let used: UInt64
    private(set) var nextAvailable: UInt16 = 0
    private var nextUsed: UInt16 = 0

    init(memory: GuestMemory, size: UInt16, at base: UInt64) {
        self.memory = memory
        self.size = size
        descriptors = base
        available = base + 0x1000
        used = base + 0x2000
    }

    /// In the layout of old drivers, where the used ring begins the next page.
    init(memory: GuestMemory, size: UInt16, legacyAt base: UInt64) {
        self.memory = memory
        self.size = size
        descriptors = base
        available = base + 16 * UInt64(size)
        used = (available + 6 + 2 * UInt64(size) + 4095) & ~4095
    }

    var layout: VirtqueueLayout {
        VirtqueueLayout(size: size, descriptors: descriptors, available: available, used: used)
    }

    /// Fills descriptor `index`. Flags: 1 next, 2 write, 4 indirect.
    func describe(
        _ index: UInt16, _ address: UInt64, _ length: UInt32, flags: UInt16 = 0, next: UInt16 = 0,
        table: UInt64? = nil
    ) throws {
        let entry = (table ?? descriptors) + 16 * UInt64(index)
        try memory.write(address, at: entry)
        try memory.write(length, at: entry + 8)
        try memory.write(flags, at: entry + 12)
        try memory.write(next, at: entry + 14)
    }

    /// Puts the chain that starts at descriptor `head` into the available ring.
    mutating func offer(_ head: UInt16) throws {
        try memory.write(head, at: available + 4 + 2 * UInt64(nextAvailable % size))
        nextAvailable &+= 1
        try memory.write(nextAvailable, at: available + 2)
    }

    /// Takes the next used element, if there is one.
    mutating func takeUsed() throws -> (id: UInt32, length: UInt32)? {
        let index: UInt16 = try memory.read(used + 2)
        guard index != nextUsed else { return nil }
        let entry = used + 4 + 8 * UInt64(nextUsed % size)
        nextUsed &+= 1
        return (try memory.read(entry), try memory.read(entry + 4))
    }
}

/// Talks to the device in `slot` of bus 0.
struct FakeDriver {
    let ports: PortBus
    let mmio: MMIOBus
    let slot: UInt32

    init(_ rig: Rig, slot: UInt32 = 1) {
        self.init(ports: rig.ports, mmio: rig.mmio, slot: slot)
    }

    init(ports: PortBus, mmio: MMIOBus, slot: UInt32) {
        self.ports = ports
        self.mmio = mmio
        self.slot = slot
    }

    func configRead(_ offset: UInt32, _ width: Int = 4) -> UInt32 {
        ports.write(port: 0xCF8, width: 4, value: 0x8000_0000 | slot << 11 | offset & 0xFC)
        return ports.read(port: 0xCFC + UInt16(offset & 3), width: width)
    }

    func configWrite(_ offset: UInt32, _ value: UInt32, _ width: Int = 4) {
        ports.write(port: 0xCF8, width: 4, value: 0x8000_0000 | slot << 11 | offset & 0xFC)
        ports.write(port: 0xCFC + UInt16(offset & 3), width: width, value: value)
    }

    var bar: UInt64 { UInt64(configRead(0x10)) }

    func read(_ offset: UInt64, _ width: Int) -> UInt64 { mmio.read(address: bar + offset, width: width) }

    func write(_ offset: UInt64, _ value: UInt64, _ width: Int) {
        mmio.write(address: bar + offset, width: width, value: value)
    }

    var status: UInt64 { read(0x14, 1) }

    /// All features offered.
    var offered: UInt64 {
        write(0x00, 0, 4)
        let low = read(0x04, 4)
        write(0x00, 1, 4)
        return low | read(0x04, 4) << 32
    }

    /// Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK. True when the device agrees.
    func negotiate(_ features: UInt64) -> Bool {
        write(0x14, 0, 1)
        write(0x14, 1, 1)
        write(0x14, 3, 1)
        write(0x08, 0, 4)
        write(0x0C, features & 0xFFFF_FFFF, 4)
        write(0x08, 1, 4)
        write(0x0C, features >> 32, 4)
        write(0x14, 0xB, 1)
        return status == 0xB
    }

    /// Tells the device where queue `index` is, and enables it.
    func setUp(queue index: UInt64, _ layout: VirtqueueLayout) {
        write(0x16, index, 2)
        write(0x18, UInt64(layout.size), 2)
        for (offset, address) in [(0x20, layout.descriptors), (0x28, layout.available), (0x30, layout.used)] {
            write(UInt64(offset), address & 0xFFFF_FFFF, 4)
            write(UInt64(offset) + 4, address >> 32, 4)
        }
        write(0x1C, 1, 2)
    }

    func driverOK() { write(0x14, 0xF, 1) }

    func kick(_ queue: UInt64) { write(0x38, queue, 2) }

    /// One character by the cfg-access window, as a kernel's early console does it (lguest ABI 9.4).
    func emergencyWrite(_ character: UInt8) {
        configWrite(0x88, 0, 1)
        configWrite(0x90, 4)
        configWrite(0x8C, 0x44)
        configWrite(0x94, UInt32(character))
    }
}

/// A console driver that has done the whole start-up.
struct FakeConsole {
    let driver: FakeDriver
    var receive: FakeQueue
    var transmit: FakeQueue

    init(_ rig: Rig, features: UInt64 = 1 << 32 | 4, size: UInt16 = 256) {
        driver = FakeDriver(rig)
        receive = FakeQueue(memory: rig.memory, size: size, at: 0x10000)
        transmit = FakeQueue(memory: rig.memory, size: size, at: 0x20000)
        guard driver.negotiate(features) else { return }
        driver.setUp(queue: 0, receive.layout)
        driver.setUp(queue: 1, transmit.layout)
        driver.driverOK()
    }

    /// Prints `text` from descriptor and buffer `index`.
    mutating func print(_ text: String, index: UInt16 = 0) throws {
        let address = 0x80000 + UInt64(index) * 256
        try transmit.memory.writeBytes([UInt8](text.utf8), at: address)
        try transmit.describe(index, address, UInt32(text.utf8.count))
        try transmit.offer(index)
        driver.kick(1)
    }

    /// Offers receive buffer `index` of `length` bytes.
    mutating func offerBuffer(_ index: UInt16, length: UInt32 = 4096, kick: Bool = true) throws {
        try receive.describe(index, 0x40000 + UInt64(index) * 4096, length, flags: 2)
        try receive.offer(index)
        if kick { driver.kick(0) }
    }

    /// What was received in the next used buffer.
    mutating func received() throws -> String? {
        guard let used = try receive.takeUsed() else { return nil }
        let bytes = try receive.memory.readBytes(0x40000 + UInt64(used.id) * 4096, count: Int(used.length))
        return String(decoding: bytes, as: UTF8.self)
    }
}

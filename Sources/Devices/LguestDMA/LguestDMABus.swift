// SPDX-License-Identifier: Apache-2.0
//
// How Linux 2.6.23 finds its devices and speaks to them (lguest ABI 8.7): an array of descriptors in the page
// above RAM, a page for each device, and two hypercalls. BIND_DMA registers an array of free lists under a key, for
// what a device has to tell; SEND_DMA hands a list to the device that listens to its key. A key is mostly the
// address of the device's page. Lists become free again by a plain write, of which nobody tells us.

import GuestMemory
import Support

/// A device on the bus.
protocol DMADevice: AnyObject {
    /// Whether lists for this key are for it.
    func listens(to key: UInt32) -> Bool
    /// The guest has sent `list`; the number of bytes that were used of it.
    func received(_ list: DMAList) -> Int
    /// There may be free lists now.
    func start()
    func stop()
}

/// The bus. Belongs to the thread of the virtual CPU.
public final class LguestDMABus {
    private struct Binding {
        let array: UInt64
        let count: Int
        let irq: Int
    }

    enum DeviceType: UInt16 {
        case console = 1
        case net = 2
        case block = 3
    }

    /// Set in all descriptors: the interrupt comes at random times.
    private static let randomness: UInt16 = 0x8000
    private static let descriptorLength: UInt64 = 12
    private static let deviceLimit = 16
    private static let bindingLimit = 32
    private static let pageSize: UInt64 = 4096

    let memory: GuestMemory
    let eventLoop: EventLoop
    private let interrupts: any InterruptLines
    private let base: UInt64
    private var devices: [any DMADevice] = []
    private var bindings: [UInt32: Binding] = [:]
    /// What the guest makes its network card's address of.
    public private(set) var guestID: UInt16 = 1

    /// An empty bus whose descriptors are at GPA `base`, which is the end of RAM; `memory` must reach 17 pages
    /// further.
    public init(
        memory: GuestMemory, interrupts: any InterruptLines, base: UInt64, eventLoop: EventLoop
    ) {
        self.memory = memory
        self.interrupts = interrupts
        self.base = base
        self.eventLoop = eventLoop
    }

    // MARK: Building

    public func addConsole(_ backend: any ConsoleBackend) throws(LguestError) {
        let device = DMAConsole(backend, self)
        try add(device, .console, features: 0)
    }

    public func addDisk(_ disk: Disk) throws(LguestError) {
        let device = DMABlock(disk, page: nextPage, self)
        try add(device, .block, features: 0)
    }

    public func addNetwork(_ network: Network) throws(LguestError) {
        let device = DMANet(network, page: nextPage, self)
        guestID = max(1, UInt16(network.mac.bytes[4]) << 8 | UInt16(network.mac.bytes[5]))
        try add(device, .net, features: UInt16(DMANet.guestSlot))
    }

    /// GPA of the page that the next device gets.
    private var nextPage: UInt64 { base + Self.pageSize * UInt64(devices.count + 1) }

    private func add(_ device: any DMADevice, _ type: DeviceType, features: UInt16) throws(LguestError) {
        guard devices.count < Self.deviceLimit else {
            throw LguestError(.badInput, "no room for another device: this kernel finds \(Self.deviceLimit)")
        }
        let descriptor = base + Self.descriptorLength * UInt64(devices.count)
        let words: [UInt16] = [type.rawValue, features | Self.randomness, 0, 1]
        for (index, word) in words.enumerated() {
            try? memory.write(word, at: descriptor + 2 * UInt64(index))
        }
        try? memory.write(UInt32(nextPage / Self.pageSize), at: descriptor + 8)
        devices.append(device)
    }

    // MARK: Running

    public func start() {
        for device in devices { device.start() }
    }

    /// Before the guest starts anew.
    public func reset() {
        bindings = [:]
        for device in devices { device.stop() }
    }

    /// BIND_DMA: `count` lists from GPA `array` on are for what comes under `key`; none unbinds. False when that
    /// cannot be.
    public func bind(key: UInt32, array: UInt32, count: Int, irq: Int) -> Bool {
        guard irq != 0, count != 0 else { return bindings.removeValue(forKey: key) != nil }
        guard irq < 32, bindings[key] == nil, bindings.count < Self.bindingLimit,
            memory.contains(UInt64(array), length: UInt64(count) * DMAList.byteCount)
        else { return false }
        bindings[key] = Binding(array: UInt64(array), count: count, irq: irq)
        for device in devices where device.listens(to: key) { device.start() }
        return true
    }

    /// SEND_DMA: the list at GPA `address` is for who listens to `key`. Nil when the list is not inside guest
    /// memory.
    public func send(key: UInt32, address: UInt32) -> Bool? {
        guard let list = DMAList(at: UInt64(address), memory) else { return nil }
        guard let device = devices.first(where: { $0.listens(to: key) }) else { return false }
        list.setUsed(device.received(list), memory)
        return true
    }

    // MARK: For the devices

    /// The first free list that is bound to `key`; nil when there is none.
    func freeList(_ key: UInt32) -> DMAList? {
        guard let binding = bindings[key] else { return nil }
        for index in 0..<binding.count {
            let address = binding.array + UInt64(index) * DMAList.byteCount
            if let list = DMAList(at: address, memory), list.usedLength == 0 { return list }
        }
        return nil
    }

    func raise(_ key: UInt32) {
        if let binding = bindings[key] { interrupts.raise(irq: binding.irq) }
    }
}

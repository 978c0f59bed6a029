// SPDX-License-Identifier: Apache-2.0
//
// The disk of Linux 2.6.23, /dev/lgba and so on: a page that describes one request at a time. Data to be written
// comes in the list that is sent, data that was read goes into the list that is bound.

import Support

/// A disk on the DMA bus.
final class DMABlock {
    /// Fields of the page.
    private enum Field {
        static let type: UInt64 = 0
        static let sector: UInt64 = 4
        static let bytes: UInt64 = 8
        static let result: UInt64 = 12
        static let sectorCount: UInt64 = 16
    }

    private enum Result: UInt32 {
        case done = 1
        case failed = 2
    }

    private static let sector: UInt64 = 512

    private let disk: Disk
    private let page: UInt64
    private unowned let bus: LguestDMABus
    /// The list that a read in flight fills, by its token.
    private var reading: DMAList?
    private var token: UInt64 = 0
    private var isBusy = false

    init(_ disk: Disk, page: UInt64, _ bus: LguestDMABus) {
        self.disk = disk
        self.page = page
        self.bus = bus
        let sectors = UInt32(clamping: disk.image.byteCount / Self.sector)
        try? bus.memory.write(sectors, at: page + Field.sectorCount)
    }

    private var key: UInt32 { UInt32(truncatingIfNeeded: page) }

    private func word(_ field: UInt64) -> UInt32 { (try? bus.memory.read(page + field)) ?? 0 }

    /// What the page asks for; nil when that is not possible.
    private func operation(_ sent: DMAList) -> DiskOperation? {
        let count = UInt64(word(Field.bytes))
        let offset = UInt64(word(Field.sector)) * Self.sector
        guard count > 0, count % Self.sector == 0, offset <= disk.image.byteCount,
            count <= disk.image.byteCount - offset
        else { return nil }
        if word(Field.type) == 1 {
            guard !disk.image.isReadOnly, sent.count == Int(count) else { return nil }
            return .write(offset: offset, sent.buffers(bus.memory))
        }
        guard word(Field.type) == 0, let list = bus.freeList(key), list.count == Int(count) else {
            return nil
        }
        list.announceWrite(bus.memory)
        reading = list
        return .read(offset: offset, list.buffers(bus.memory))
    }

    private func finish(_ result: Result) {
        isBusy = false
        if let list = reading {
            // Again: what the guest has decoded of it meanwhile is old.
            list.announceWrite(bus.memory)
            list.setUsed(result == .done ? list.count : 0, bus.memory)
        }
        reading = nil
        try? bus.memory.write(result.rawValue, at: page + Field.result)
        bus.raise(key)
    }
}

extension DMABlock: DMADevice {
    func listens(to key: UInt32) -> Bool { key == self.key }

    /// The driver has one request in flight; a second one is not answered.
    func received(_ list: DMAList) -> Int {
        guard !isBusy else { return 0 }
        isBusy = true
        guard let operation = operation(list) else {
            finish(.failed)
            return 0
        }
        token += 1
        if case .done(let failure) = disk.submit(operation, token: token) {
            finish(failure == nil ? .done : .failed)
        }
        return list.count
    }

    func start() {
        disk.onCompletion = { [weak self] done in
            guard let self, let last = done.last, last.token == self.token, self.isBusy else { return }
            self.finish(last.failure == nil ? .done : .failed)
        }
    }

    func stop() {
        disk.finish()
        disk.onCompletion = nil
        reading = nil
        isBusy = false
    }
}

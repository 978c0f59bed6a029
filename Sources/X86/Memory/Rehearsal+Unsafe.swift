// SPDX-License-Identifier: Apache-2.0
//
// Carrying out instructions only to see what they would do: every store is written down with what was there
// before, devices are not reached, and in the end memory is put back. For this the processor's write table is
// an empty one meanwhile, so that all stores take the slow path.

import GuestMemory

public final class Rehearsal {
    public struct Store: Equatable, Sendable {
        public var address: UInt64
        public var before: UInt8
        public var after: UInt8
    }

    /// The stores, byte by byte, in order.
    public private(set) var stores: [Store] = []
    /// Something was tried that cannot be undone.
    public private(set) var touchedDevice = false
    private let emptyTable: UnsafeMutablePointer<UInt>
    private var realTable: UnsafeMutablePointer<UInt>?

    public init() {
        emptyTable = .allocate(capacity: TranslationTables.pages)
        emptyTable.initialize(repeating: 0, count: TranslationTables.pages)
    }

    deinit {
        // SAFETY: allocated in `init`; `end` has taken it out of the processor.
        emptyTable.deallocate()
    }

    /// From here on stores are only written down.
    public func begin(_ cpu: CPU) {
        stores.removeAll(keepingCapacity: true)
        touchedDevice = false
        realTable = cpu.system.writeTable
        cpu.system.writeTable = emptyTable
        cpu.owner.rehearsal = self
    }

    /// Puts memory back; the state is the caller's business, except for the write table.
    public func end(_ cpu: CPU) {
        cpu.owner.rehearsal = nil
        if let realTable { cpu.system.writeTable = realTable }
        undo(cpu.memory)
    }

    /// Takes the stores back (once more).
    public func undo(_ memory: GuestMemory) {
        // SAFETY: `write` has been given addresses inside RAM only.
        for store in stores.reversed() {
            memory.base.storeBytes(of: store.before, toByteOffset: Int(store.address), as: UInt8.self)
        }
    }

    /// The first byte that memory does not hold as the stores have left it, or nil.
    public func difference(_ memory: GuestMemory) -> (store: Store, found: UInt8)? {
        var last: [UInt64: Store] = [:]
        for store in stores { last[store.address] = store }
        for store in last.values {
            // SAFETY: as in `undo`.
            let found = memory.base.load(fromByteOffset: Int(store.address), as: UInt8.self)
            if found != store.after { return (store, found) }
        }
        return nil
    }

    func reachedDevice() -> UInt64 {
        touchedDevice = true
        return 0
    }

    func write(_ memory: GuestMemory, _ address: UInt64, _ width: Int, _ value: UInt64) {
        for n in 0..<width {
            // SAFETY: the caller has checked the range.
            let before = memory.base.load(fromByteOffset: Int(address) + n, as: UInt8.self)
            let after = UInt8(truncatingIfNeeded: value >> UInt64(8 * n))
            stores.append(Store(address: address + UInt64(n), before: before, after: after))
            memory.base.storeBytes(of: after, toByteOffset: Int(address) + n, as: UInt8.self)
        }
    }
}

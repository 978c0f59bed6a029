// SPDX-License-Identifier: Apache-2.0
//
// Guest-physical addresses that are device registers instead of RAM (lguest ABI 6.6). The CPU comes
// here only for addresses outside RAM, so a device that a guest moves on top of RAM is simply not
// reachable there.

import Tap

/// Something whose registers appear in guest-physical address space.
public protocol MMIOHandler: AnyObject {
    /// Reads `width` bytes (1, 2, 4 or 8) at `offset` into the region; all of them lie inside it.
    func mmioRead(offset: UInt64, width: Int) -> UInt64
    /// Writes the low `width` bytes (1, 2, 4 or 8) of `value`; all of them lie inside the region.
    func mmioWrite(offset: UInt64, width: Int, value: UInt64)
    /// What the register at `offset` is called, for traces: `console.queue_notify`. Nil for no name.
    func registerName(offset: UInt64) -> String?
}

extension MMIOHandler {
    public func registerName(offset: UInt64) -> String? { nil }
}

/// Sends guest-physical accesses to the device that owns the address.
public final class MMIOBus {
    /// Names one attached region.
    public struct Region: Hashable, Sendable {
        fileprivate let index: Int
    }

    private struct Entry {
        let handler: any MMIOHandler
        var base: UInt64
        let length: UInt64
    }

    /// A region that is in effect, sorted by address and free of overlaps.
    private struct Window {
        let base: UInt64
        let end: UInt64
        let entry: Int
    }

    private var entries: [Entry] = []
    private var windows: [Window] = []
    // Accesses come in runs to one device: look at the last one first.
    private var lastHit = 0
    /// Told of each access, if it wants to be.
    public var tap: TraceTap? {
        didSet { traceSwitch = tap?.traceSwitch }
    }
    private var traceSwitch: TraceSwitch?

    public init() {}

    /// The first address behind all regions in effect (GPA, bytes), 0 when there are none. With the
    /// end of RAM it bounds the window of lguest ABI 6.6.
    public var end: UInt64 { windows.last?.end ?? 0 }

    /// Puts `handler` at `[base, base + length)`. Where two regions overlap, the one attached first is in
    /// effect.
    public func attach(_ handler: any MMIOHandler, base: UInt64, length: UInt64) -> Region {
        entries.append(Entry(handler: handler, base: base, length: length))
        rebuild()
        return Region(index: entries.count - 1)
    }

    /// Moves a region: the guest has written a base address register.
    public func move(_ region: Region, to base: UInt64) {
        guard entries[region.index].base != base else { return }
        entries[region.index].base = base
        rebuild()
    }

    /// Whether a device answers at `address`.
    public func claims(_ address: UInt64) -> Bool { find(address, 1) != nil }

    /// Reads `width` bytes (1, 2, 4 or 8) at GPA `address`; all ones where no device answers, or where the
    /// access would leave the device.
    public func read(address: UInt64, width: Int) -> UInt64 {
        let ones = Access.ones(width: width)
        guard let window = find(address, width) else { return ones }
        let handler = entries[window.entry].handler
        let offset = address - window.base
        guard traceSwitch?.wants(.mmio) == true, let tap else {
            return handler.mmioRead(offset: offset, width: width) & ones
        }
        let mark = tap.begin(
            .mmioRead, name(handler, offset, tap), UInt32(width), 0, UInt32(truncatingIfNeeded: address))
        let value = handler.mmioRead(offset: offset, width: width) & ones
        tap.end(mark, 2, UInt32(truncatingIfNeeded: value))
        return value
    }

    /// Writes the low `width` bytes (1, 2, 4 or 8) of `value` at GPA `address`; ignored where no device
    /// answers.
    public func write(address: UInt64, width: Int, value: UInt64) {
        guard let window = find(address, width) else { return }
        let handler = entries[window.entry].handler
        let (offset, value) = (address - window.base, value & Access.ones(width: width))
        guard traceSwitch?.wants(.mmio) == true, let tap else {
            return handler.mmioWrite(offset: offset, width: width, value: value)
        }
        let mark = tap.begin(
            .mmioWrite, name(handler, offset, tap), UInt32(width), UInt32(truncatingIfNeeded: value),
            UInt32(truncatingIfNeeded: address))
        handler.mmioWrite(offset: offset, width: width, value: value)
        tap.end(mark)
    }

    /// The number of a register's name.
    private func name(_ handler: any MMIOHandler, _ offset: UInt64, _ tap: TraceTap) -> UInt32 {
        handler.registerName(offset: offset).map { tap.name($0) } ?? 0
    }

    private func find(_ address: UInt64, _ width: Int) -> Window? {
        if lastHit < windows.count, address >= windows[lastHit].base, address < windows[lastHit].end {
            return UInt64(width) <= windows[lastHit].end - address ? windows[lastHit] : nil
        }
        var low = 0
        var high = windows.count
        while low < high {
            let middle = (low + high) / 2
            if windows[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        guard low < windows.count, windows[low].base <= address else { return nil }
        lastHit = low
        return UInt64(width) <= windows[low].end - address ? windows[low] : nil
    }

    /// Works out anew which regions are in effect. Guests shuffle their BARs, so a region that another one
    /// hides for the moment comes back as soon as its place is free.
    private func rebuild() {
        windows.removeAll(keepingCapacity: true)
        for (index, entry) in entries.enumerated() {
            let (end, overflow) = entry.base.addingReportingOverflow(entry.length)
            if overflow || entry.length == 0 { continue }
            if windows.contains(where: { $0.base < end && entry.base < $0.end }) { continue }
            windows.append(Window(base: entry.base, end: end, entry: index))
        }
        windows.sort { $0.base < $1.base }
        lastHit = 0
    }
}

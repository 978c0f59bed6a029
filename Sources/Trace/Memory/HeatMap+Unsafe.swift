// SPDX-License-Identifier: Apache-2.0
//
// Which parts of a guest's memory events had to do with: where code ran when it came to the hypervisor, which
// pages were mapped, which buffers devices used. And which pages the guest ever touched, as the host knows.

import GuestMemory
import Tap

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Counts by page frame.
public final class HeatMap: TraceSink {
    private let memory: GuestMemory
    /// Translates a guest-virtual address as the page tables say now; nil where nothing is mapped.
    private let translate: (UInt32) -> UInt64?
    private var code: [UInt32]
    private var mapped: [UInt32]
    private var buffers: [UInt32]
    /// Physical page of code, by virtual page; forgotten when the address space changes.
    private var known: [UInt32: UInt64] = [:]
    private var root: UInt32 = 0

    /// Cells of the map.
    private static let cells = 4096

    public init(_ memory: GuestMemory, translate: @escaping (UInt32) -> UInt64?) {
        self.memory = memory
        self.translate = translate
        let pages = Int(memory.ramSize >> 12)
        code = [UInt32](repeating: 0, count: pages)
        mapped = code
        buffers = code
    }

    public func write(_ events: UnsafeBufferPointer<TraceEvent>, of tap: TraceTap) {
        for event in events where Int(event.kind) < tap.kinds.count {
            if event.ring != TraceEvent.hostRing { countCode(event) }
            let kind = tap.kinds[Int(event.kind)]
            for (index, argument) in kind.arguments.enumerated() {
                let value = UInt64(event.arguments[index & 3])
                switch argument.format {
                case .entry where value & 1 != 0: count(&mapped, value & 0xFFFF_F000)
                case .physical:
                    if kind.categories.contains(.virtio) {
                        count(&buffers, value)
                    } else if !kind.categories.contains(.mmio) {
                        count(&mapped, value)
                    }
                default: break
                }
            }
        }
    }

    private func countCode(_ event: TraceEvent) {
        if event.cr3 != root {
            root = event.cr3
            known.removeAll(keepingCapacity: true)
        }
        let page = event.eip >> 12
        if let physical = known[page] {
            count(&code, physical)
        } else if let physical = translate(event.eip) {
            known[page] = physical
            count(&code, physical)
        }
    }

    private func count(_ counts: inout [UInt32], _ physical: UInt64) {
        let page = Int(truncatingIfNeeded: physical >> 12)
        if counts.indices.contains(page) { counts[page] &+= 1 }
    }

    /// Which pages of RAM the host had to provide, one byte each.
    private func residentPages() -> [UInt8] {
        let pages = Int(memory.ramSize >> 12)
        var resident = [UInt8](repeating: 0, count: pages)
        // SAFETY: the mapping is `ramSize` bytes long at least, and the array has one byte for each page.
        let done = resident.withUnsafeMutableBufferPointer {
            mincore(memory.base, Int(memory.ramSize), $0.baseAddress)
        }
        return done == 0 ? resident.map { $0 & 1 } : [UInt8](repeating: 0, count: pages)
    }

    /// As a record of a trace: for each cell of memory how much of it was touched, and how often it occurred.
    public var json: JSON {
        let pages = code.count
        let perCell = max(1, (pages + Self.cells - 1) / Self.cells)
        let resident = residentPages()
        func sums(_ counts: [some FixedWidthInteger]) -> JSON {
            .list(
                stride(from: 0, to: pages, by: perCell).map { first in
                    .integer(
                        counts[first..<min(pages, first + perCell)].reduce(UInt64(0)) { $0 + UInt64($1) })
                })
        }
        return .object([
            ("bytesPerCell", .integer(perCell << 12)), ("memory", .integer(memory.ramSize)),
            ("touched", sums(resident)), ("code", sums(code)), ("mapped", sums(mapped)),
            ("buffers", sums(buffers)),
        ])
    }
}

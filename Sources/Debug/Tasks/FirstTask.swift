// SPDX-License-Identifier: Apache-2.0
//
// Finds a Linux kernel's first task where no symbol names it: it is called "swapper", it is in the kernel's image, and
// the ring of all tasks goes through it. Where its record begins is told by the pointers that each task has to
// itself, as the leader of its threads, and that the second has to the first, as its parent.

import Support
import X86

struct FirstTask {
    private let view: GuestView
    /// Instructions that the guest had carried out at the last search.
    private var searchedAt: UInt64?

    /// Kernel images do not reach higher (guest-physical address).
    private static let searched: UInt64 = 96 << 20
    private static let piece = 1 << 20
    /// Bytes from the beginning of a record to the ring, and from there to the name, at most.
    private static let reach: UInt32 = 8192
    private static let names = ["swapper/0\0", "swapper\0"].map { Array($0.utf8) }

    init(_ view: GuestView) { self.view = view }

    /// The address of its record; nil when there is none yet. A search costs as much as reading the memory, so there
    /// is none before the guest has come twice as far.
    mutating func find() -> UInt32? {
        let now = view.cpu.instructions
        if let searchedAt, now < 2 * searchedAt { return nil }
        searchedAt = max(now, 1)
        var steps = TaskLayout.stepLimit
        for name in places() {
            if let record = record(name: name, &steps) { return record }
        }
        return nil
    }

    /// Guest-virtual addresses of its name.
    private func places() -> [UInt32] {
        let offset = view.linearMapOffset
        var found: [UInt32] = []
        for start in stride(from: UInt64(0), to: min(view.ramBytes, Self.searched), by: Self.piece) {
            let count = min(UInt64(Self.piece) + 16, view.ramBytes - start)
            guard let bytes = view.physicalBytes(start, count: Int(count)) else { continue }
            for at in Self.names(in: bytes) where found.count < 64 {
                let linear = offset &+ UInt32(truncatingIfNeeded: start) &+ UInt32(at)
                if view.physical(linear) == start + UInt64(at) { found.append(linear) }
            }
        }
        return found
    }

    private static func names(in bytes: [UInt8]) -> [Int] {
        bytes.withUnsafeBufferPointer { bytes in
            stride(from: 0, to: bytes.count - 16, by: 4).filter { at in
                bytes[at] == names[0][0]
                    && names.contains { $0.elementsEqual(bytes[at..<at + $0.count]) }
            }
        }
    }

    /// The record whose name is at `name`.
    private func record(name: UInt32, _ steps: inout Int) -> UInt32? {
        let below = min(name, Self.reach)
        for ring in stride(from: name - below, to: name, by: 4) {
            guard let next = view.word(ring), next & 3 == 0, next > 0x1000, next != ring,
                view.word(next &+ 4) == ring
            else { continue }
            let layout = TaskLayout(name: name - ring, tasks: 0)
            let tasks = layout.walk(view, first: ring, steps: &steps)
            if tasks.count > 2, let distance = distance(tasks, span: name - ring) { return ring - distance }
        }
        return nil
    }

    /// Bytes from the beginning of a record to its ring, for the rings of all tasks.
    private func distance(_ rings: [UInt32], span: UInt32) -> UInt32? {
        let first = rings[0]
        for field in stride(from: UInt32(8), to: span, by: 4) {
            guard let leader = view.word(first &+ field), leader < first, first - leader < Self.reach,
                leader & 3 == 0
            else { continue }
            let distance = first - leader
            guard rings.allSatisfy({ view.word($0 &+ field) == $0 &- distance }) else { continue }
            let isParent = stride(from: UInt32(8), to: span, by: 4).contains { field in
                view.word(first &+ field) == leader && view.word(rings[1] &+ field) == leader
            }
            if isParent { return distance }
        }
        return nil
    }
}

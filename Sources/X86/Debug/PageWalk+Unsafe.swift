// SPDX-License-Identifier: Apache-2.0
//
// A walk through the guest's page tables step by step, for people to read; nothing is touched by it.

/// What lies on the way from a linear address to a physical one.
public struct PageWalk: Equatable, Sendable {
    public struct Step: Equatable, Sendable {
        /// `pde`, `pte` and so on.
        public var name: String
        /// Physical address of the entry.
        public var address: UInt64
        public var value: UInt64
    }

    public var steps: [Step] = []
    /// The physical address, or nil when an entry is not present.
    public var physical: UInt64?
    /// For which accesses the way is remembered: `kernel read`, `user write` and so on.
    public var remembered: [String] = []
}

extension CPU {
    /// The walk for `linear` with the page tables of now.
    public func walk(_ linear: UInt32) -> PageWalk {
        var walk = PageWalk()
        walk.physical = peekTranslate(linear)
        if system.cr0 & ControlBits.pg != 0 {
            walk.steps = system.cr4 & ControlBits.pae != 0 ? stepsPAE(linear) : stepsTwoLevel(linear)
        }
        let tables = owner.tables.current
        let named = [
            ("kernel read", tables.kernelRead), ("kernel write", tables.kernelWrite),
            ("kernel fetch", tables.kernelExecute), ("user read", tables.userRead),
            ("user write", tables.userWrite), ("user fetch", tables.userExecute),
        ]
        // SAFETY: each table has an entry for each of the 2^20 pages.
        walk.remembered = named.filter { $0.1[Int(linear >> 12)] != 0 }.map(\.0)
        return walk
    }

    private func stepsTwoLevel(_ linear: UInt32) -> [PageWalk.Step] {
        let at = UInt64(system.cr3 & ~0xFFF) + UInt64(linear >> 22) * 4
        let top = UInt64(readPhysical32(at))
        let first = PageWalk.Step(name: "pde", address: at, value: top)
        let isLarge = top & PageEntry.large != 0 && system.cr4 & ControlBits.pse != 0
        guard top & PageEntry.present != 0, !isLarge else { return [first] }
        let below = top & 0xFFFF_F000 + UInt64(linear >> 12 & 0x3FF) * 4
        return [first, PageWalk.Step(name: "pte", address: below, value: UInt64(readPhysical32(below)))]
    }

    private func stepsPAE(_ linear: UInt32) -> [PageWalk.Step] {
        let at = UInt64(system.cr3 & ~31) + UInt64(linear >> 30) * 8
        let pointer = system.walksTopLevelInMemory ? readPhysical64(at) : system.pdpte[Int(linear >> 30)]
        var steps = [PageWalk.Step(name: "pdpte", address: at, value: pointer)]
        guard pointer & PageEntry.present != 0 else { return steps }
        let second = pointer & PageEntry.paeFrame + UInt64(linear >> 21 & 0x1FF) * 8
        let middle = readPhysical64(second)
        steps.append(PageWalk.Step(name: "pde", address: second, value: middle))
        guard middle & PageEntry.present != 0, middle & PageEntry.large == 0 else { return steps }
        let third = middle & PageEntry.paeFrame + UInt64(linear >> 12 & 0x1FF) * 8
        steps.append(PageWalk.Step(name: "pte", address: third, value: readPhysical64(third)))
        return steps
    }
}

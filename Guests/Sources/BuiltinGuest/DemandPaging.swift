// SPDX-License-Identifier: Apache-2.0
//
// Memory that appears when it is touched: inside one range of addresses the page fault handler maps a fresh
// page and lets the instruction try again. This is what a kernel does for every program, all the time, and
// why a hypervisor must get page faults exactly right.

enum DemandPaging {
    nonisolated(unsafe) private static var start: UInt32 = 0
    nonisolated(unsafe) private static var end: UInt32 = 0
    nonisolated(unsafe) private(set) static var faults: UInt32 = 0

    /// Runs `body` with that range, in the current address space, filled on demand; then takes the pages
    /// back.
    static func with(_ first: VirtualAddress, pages: UInt32, _ body: () -> Void) {
        start = first.value
        end = first.value + pages * PageFrames.bytes
        faults = 0
        body()
        let space = AddressSpace.current
        for page in 0..<pages {
            let address = first + page * PageFrames.bytes
            guard let entry = space.pageEntry(address), entry.flags.contains(.present) else { continue }
            let frame = entry.target
            space.unmap(address)
            PageFrames.free(frame)
        }
        start = 0
        end = 0
    }

    /// Called for every page fault: true if it was one of ours and the page is there now.
    static func resolve(_ address: VirtualAddress, error: UInt32) -> Bool {
        guard address.value >= start, address.value < end, error & 1 == 0 else { return false }
        AddressSpace.current.map(address.page, to: PageFrames.allocate(), .userPage)
        faults += 1
        return true
    }
}

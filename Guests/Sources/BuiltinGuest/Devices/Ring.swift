// SPDX-License-Identifier: Apache-2.0
//
// A virtqueue whose buffers are chains of descriptors, as disks and network cards want them. Which descriptors
// make a chain is the driver's business; this knows the three tables.
import Machine

struct Ring {
    let number: UInt32
    let size: UInt32
    /// Its first page, which is its name on the device page.
    let page: PhysicalAddress
    let line: UInt32
    let descriptors: VirtualAddress
    let available: VirtualAddress
    let used: VirtualAddress
    private(set) var offered: UInt16 = 0
    private(set) var taken: UInt16 = 0

    static let next: UInt16 = 1
    static let deviceWrites: UInt16 = 2
    static let indirect: UInt16 = 4

    init(
        number: UInt32, size: UInt32, page: PhysicalAddress, line: UInt32, descriptors: VirtualAddress,
        available: VirtualAddress, used: VirtualAddress
    ) {
        self.number = number
        self.size = size
        self.page = page
        self.line = line
        self.descriptors = descriptors
        self.available = available
        self.used = used
    }

    func describe(
        _ index: UInt32, _ address: PhysicalAddress, _ bytes: UInt32, flags: UInt16, next: UInt32 = 0
    ) {
        let entry = descriptors + index * 16
        Memory.write32(entry, address.value)
        Memory.write32(entry + 4, 0)
        Memory.write32(entry + 8, bytes)
        Memory.write32(entry + 12, UInt32(flags) | next << 16)
    }

    /// Gives the chain that starts at `head` to the device; it learns of it by a kick.
    mutating func offer(_ head: UInt32) {
        let slot = UInt32(offered) & (size - 1)
        Memory.write16(available + (4 + slot * 2), UInt16(truncatingIfNeeded: head))
        offered &+= 1
        instruction_barrier()
        Memory.write16(available + 2, offered)
    }

    /// Takes back a chain that the device is done with: its head, and how many bytes it wrote.
    mutating func take() -> (head: UInt32, bytes: UInt32)? {
        guard hasUsed else { return nil }
        instruction_barrier()
        let element = used + (4 + (UInt32(taken) & (size - 1)) * 8)
        taken &+= 1
        return (Memory.read32(element), Memory.read32(element + 4))
    }

    var hasUsed: Bool { taken != Memory.read16(used + 2) }
    var deviceWantsNoKick: Bool { Memory.read16(used) & 1 != 0 }
    func wantInterrupts(_ on: Bool) { Memory.write16(available, on ? 0 : 1) }
    /// For the tests of the other side's suspicion.
    func setOfferedIndex(_ index: UInt16) { Memory.write16(available + 2, index) }
}

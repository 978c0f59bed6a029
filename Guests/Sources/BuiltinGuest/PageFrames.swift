// SPDX-License-Identifier: Apache-2.0
//
// Handing out pages of physical memory: first come, first served from the end of our image upwards, and those
// given back are kept in a list that runs through the free pages themselves.
import Machine

enum PageFrames {
    static let bytes = UInt32(PAGE_BYTES)

    /// Memory above this cannot be seen at PAGE_OFFSET, because the device window begins at 0xF0000000.
    static let mostMemory: UInt32 = 0x3000_0000

    nonisolated(unsafe) private static var next = PhysicalAddress(value: 0)
    nonisolated(unsafe) private static var firstFree: PhysicalAddress?
    nonisolated(unsafe) private(set) static var end = PhysicalAddress(value: 0)
    nonisolated(unsafe) private(set) static var used: UInt32 = 0
    nonisolated(unsafe) private static var returned: UInt32 = 0

    static func start() {
        let size = BootParameters.memorySize
        end = PhysicalAddress(
            value: size > UInt64(mostMemory) ? mostMemory : UInt32(truncatingIfNeeded: size))
        let image = VirtualAddress(value: image_end_address()).physical
        next = (image + (bytes - 1)).page
    }

    /// A page full of zeros.
    static func allocate() -> PhysicalAddress {
        let frame: PhysicalAddress
        if let reused = firstFree {
            let link = Memory.read32(reused)
            firstFree = link == 0 ? nil : PhysicalAddress(value: link)
            returned -= 1
            frame = reused
        } else {
            // The initial RAM disk, if there is one, sits at the top; we have no use for it and may run into
            // it.
            guard next.value < end.value else {
                Hypervisor.shutdown("builtin guest: out of memory", .powerOff)
            }
            frame = next
            next = next + bytes
        }
        used += 1
        Memory.clear(frame.inKernel, count: bytes)
        return frame
    }

    /// Pages one behind the other, the first one's address; never given back.
    static func allocateRun(_ count: UInt32) -> PhysicalAddress {
        let first = next
        guard count < (end.value - next.value) / bytes else {
            Hypervisor.shutdown("builtin guest: out of memory", .powerOff)
        }
        next = next + count * bytes
        used += count
        Memory.clear(first.inKernel, count: count * bytes)
        return first
    }

    static func free(_ frame: PhysicalAddress) {
        Memory.write32(frame, firstFree?.value ?? 0)
        firstFree = frame
        returned += 1
        used -= 1
    }

    static var available: UInt32 { (end.value - next.value) / bytes + returned }
}

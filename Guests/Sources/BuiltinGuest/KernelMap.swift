// SPDX-License-Identifier: Apache-2.0
//
// The kernel's own address space. Start.S brought up just enough (4 MiB) to run; here follow all of memory at
// PAGE_OFFSET, a window for device registers and a stretch for the conformance suite. All their tables are
// made now, so that every later address space can simply share them.
import Machine

enum KernelMap {
    static let deviceWindow = VirtualAddress(value: 0xF000_0000)
    static let testWindow = VirtualAddress(value: 0xF100_0000)
    nonisolated(unsafe) private static var devicePages: UInt32 = 0

    static func build() {
        let space = AddressSpace(emptyIn: PageFrames.allocate())
        var frame = PhysicalAddress(value: 0)
        while frame.value < PageFrames.end.value {
            space.map(frame.inKernel, to: frame, .kernelPage)
            frame = frame + PageFrames.bytes
        }
        _ = space.pageEntry(deviceWindow, create: true)
        _ = space.pageEntry(testWindow, create: true)
        AddressSpace.kernel = space
        space.activate()
    }

    /// Makes device registers visible; `bytes` may run over page ends.
    static func mapDevice(_ address: PhysicalAddress, bytes: UInt32) -> VirtualAddress {
        let first = deviceWindow + devicePages * PageFrames.bytes
        let offset = address.value & 0xFFF
        var done: UInt32 = 0
        while done < offset + bytes {
            AddressSpace.kernel.map(first + done, to: address.page + done, .kernelPage)
            done += PageFrames.bytes
            devicePages += 1
        }
        return first + offset
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The PCI configuration space of a virtio device. Two of its registers do something: BAR0 moves the
// registers, and the cfg-access window (virtio 1.0, clause 4.1.4.7; lguest ABI 9.4) reaches into BAR0
// without any memory mapping, which is how a kernel prints before it has one.

extension VirtioPCITransport: PCIFunction {
    public func configRead(offset: Int, width: Int) -> UInt32 {
        if touches(VirtioPCIRegister.windowData, 1, offset, width) {
            let data = window().map { mmioRead(offset: $0.offset, width: $0.width) } ?? .max
            space.write(data, at: VirtioPCIRegister.windowData, width: 4)
        }
        return UInt32(truncatingIfNeeded: space.read(at: offset, width: width))
    }

    public func configWrite(offset: Int, width: Int, value: UInt32) {
        space.write(UInt64(value), at: offset, width: width)
        if touches(VirtioPCIRegister.windowData, 1, offset, width), let window = window() {
            let data = space.read(at: VirtioPCIRegister.windowData, width: window.width)
            mmioWrite(offset: window.offset, width: window.width, value: data)
        } else if touches(VirtioPCIRegister.bar0, 4, offset, width), let region {
            mmio?.move(region, to: space.read(at: VirtioPCIRegister.bar0, width: 4))
        }
    }

    /// The access that the window describes now: inside BAR0, 1, 2 or 4 bytes, aligned; otherwise nil.
    private func window() -> (offset: UInt64, width: Int)? {
        let bar = space.read(at: VirtioPCIRegister.windowBar, width: 1)
        let offset = space.read(at: VirtioPCIRegister.windowOffset, width: 4)
        let length = space.read(at: VirtioPCIRegister.windowLength, width: 4)
        guard bar == 0, length == 1 || length == 2 || length == 4, offset % length == 0,
            offset + length <= UInt64(Self.barLength(of: device))
        else { return nil }
        return (offset, Int(length))
    }

    private func touches(_ register: Int, _ length: Int, _ offset: Int, _ width: Int) -> Bool {
        offset < register + length && register < offset + width
    }
}

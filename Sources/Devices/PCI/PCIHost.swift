// SPDX-License-Identifier: Apache-2.0
//
// PCI configuration mechanism #1: the guest writes an address to port 0xCF8 and finds the register
// so named at 0xCFC (lguest ABI 9.1). One bus, one function for each device, and a host bridge that
// is there only to be found.

import Support

/// One PCI function, as its configuration registers are reached.
public protocol PCIFunction: AnyObject {
    /// Reads `width` bytes (1, 2 or 4) inside the dword at `offset & ~3`.
    func configRead(offset: Int, width: Int) -> UInt32
    /// Writes `width` bytes (1, 2 or 4) inside the dword at `offset & ~3`; read-only bits ignore it.
    func configWrite(offset: Int, width: Int, value: UInt32)
}

/// Bus 0 and the eight ports 0xCF8–0xCFF that lead to it.
public final class PCIHost: PortHandler {
    /// The ports of mechanism #1.
    public static let ports: ClosedRange<UInt16> = 0xCF8...0xCFF
    /// Slots of the bus; slot 0 is the host bridge.
    public static let slotCount = 32

    private var functions = [(any PCIFunction)?](repeating: nil, count: slotCount)
    /// The address register, read back as written.
    private var address: UInt32 = 0
    /// Gets the bytes written to port 0xCF9, the reset control of a PC, which lies in the address register.
    public var writeResetControl: ((UInt8) -> Void)?

    /// A bus with only the host bridge on it, answering on `portBus`. `isPC` gives the bridge a name by which
    /// a stock kernel knows it.
    public init(portBus: PortBus, isPC: Bool = false) {
        functions[0] = PCIHostBridge(isPC: isPC)
        portBus.claim(ports: Self.ports, handler: self)
    }

    /// Puts a function into `slot` (1…31). Fails when there is no such slot or it is taken.
    public func insert(_ function: any PCIFunction, slot: Int) throws(LguestError) {
        guard (1..<Self.slotCount).contains(slot) else {
            throw LguestError(
                .badInput, "too many devices: PCI slot \(slot) does not exist", hint: "at most 31")
        }
        guard functions[slot] == nil else {
            throw LguestError(.badInput, "PCI slot \(slot) is taken")
        }
        functions[slot] = function
    }

    public func portRead(offset: UInt16, width: Int) -> UInt32 {
        let offset = Int(offset)
        if offset + width <= 4 {
            return (address >> UInt32(offset * 8)) & UInt32(truncatingIfNeeded: Access.ones(width: width))
        }
        if offset >= 4 { return dataRead(offset - 4, width) }
        // Half address, half data: each byte for itself.
        var value: UInt32 = 0
        for byte in 0..<width {
            value |= portRead(offset: UInt16(offset + byte), width: 1) << UInt32(byte * 8)
        }
        return value
    }

    public func portWrite(offset: UInt16, width: Int, value: UInt32) {
        let offset = Int(offset)
        if offset == 1, width == 1, let writeResetControl {
            writeResetControl(UInt8(truncatingIfNeeded: value))
        } else if offset + width <= 4 {
            let mask = UInt32(truncatingIfNeeded: Access.ones(width: width)) << UInt32(offset * 8)
            address = (address & ~mask) | ((value << UInt32(offset * 8)) & mask)
        } else if offset >= 4 {
            dataWrite(offset - 4, width, value)
        } else {
            for byte in 0..<width {
                portWrite(offset: UInt16(offset + byte), width: 1, value: (value >> UInt32(byte * 8)) & 0xFF)
            }
        }
    }

    private func dataRead(_ byte: Int, _ width: Int) -> UInt32 {
        let ones = UInt32(truncatingIfNeeded: Access.ones(width: width))
        guard let (function, register) = selected(), byte + width <= 4 else { return ones }
        return function.configRead(offset: register + byte, width: width) & ones
    }

    private func dataWrite(_ byte: Int, _ width: Int, _ value: UInt32) {
        guard let (function, register) = selected(), byte + width <= 4 else { return }
        function.configWrite(offset: register + byte, width: width, value: value)
    }

    /// The function and dword that the address register names: enabled (bit 31), bus 0 (bits 23–16),
    /// device (15–11), function 0 (10–8), register (7–2).
    private func selected() -> (any PCIFunction, Int)? {
        let register = Int(address & 0xFC)
        guard address >> 31 == 1, (address >> 8) & 0xFF07 == 0, register < PCIConfigSpace.length,
            let function = functions[Int((address >> 11) & 31)]
        else { return nil }
        return (function, register)
    }
}

/// Slot 0: everything zero except class 6 (bridge), subclass 0 (host). The vendor number 0 is
/// meant: the kernel's probe of mechanism #1 looks for the class only, and its enumeration then
/// skips a device without vendor (lguest ABI 9.1). On a PC it is Intel's 82441FX, which needs no driver.
final class PCIHostBridge: PCIFunction {
    private let space: PCIConfigSpace

    init(isPC: Bool) {
        var space = PCIConfigSpace()
        if isPC {
            space.define(0x8086, at: 0x00, width: 2)
            space.define(0x1237, at: 0x02, width: 2)
            space.define(0x02, at: 0x08, width: 1)
        }
        space.define(0x0600, at: 0x0A, width: 2)
        self.space = space
    }

    func configRead(offset: Int, width: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: space.read(at: offset, width: width))
    }

    func configWrite(offset: Int, width: Int, value: UInt32) {}
}

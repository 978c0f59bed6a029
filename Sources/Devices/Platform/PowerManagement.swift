// SPDX-License-Identifier: Apache-2.0
//
// How a PC is switched off and reset: ACPI's fixed registers (ACPI 6.5, clause 4.8.3) with the power button, the
// reset control at 0xCF9 (which the PCI host passes on), the keyboard controller's reset line and port 0x92.

/// How a guest ended the machine.
public enum PlatformRequest: Equatable, Sendable {
    case powerOff
    case reset
}

public final class PowerManagement {
    /// PM1 status, enable and control, in this order.
    public static let port: UInt16 = 0x600
    public static let irq = 9
    /// The SLP_TYP that means "off"; the tables say so.
    public static let offType: UInt8 = 5
    /// Written to 0xCF9: reset the processor. The tables say so.
    public static let resetValue: UInt8 = 6

    private static let powerButton: UInt16 = 1 << 8
    private var status: UInt16 = 0
    private var enable: UInt16 = 0
    /// SCI_EN is always set: there is no other mode.
    private var control: UInt16 = 1
    /// Sets the interrupt's wire.
    public var setOutput: (Bool) -> Void = { _ in }
    public var request: (PlatformRequest) -> Void = { _ in }

    public init() {}

    public func claimPorts(on ports: PortBus) {
        ports.claim(ports: Self.port...Self.port + 5, handler: self)
        ports.claim(ports: 0x92...0x92, handler: FastReset(self))
        ports.claim(ports: 0x64...0x64, handler: KeyboardCommand(self))
    }

    /// Somebody wants the guest to switch itself off.
    public func pressPowerButton() {
        status |= Self.powerButton
        updateOutput()
    }

    /// A write to the reset control register.
    public func writeResetControl(_ value: UInt8) {
        if value & 4 != 0 { request(.reset) }
    }

    private func updateOutput() { setOutput(status & enable != 0) }

    private func setControl(_ value: UInt16) {
        control = value & 0x1C06 | 1
        let sleeps = value & 1 << 13 != 0
        if sleeps, value >> 10 & 7 == UInt16(Self.offType) { request(.powerOff) }
    }

    /// Port 0x92: bit 0 resets, bit 1 is the A20 gate, always open.
    private final class FastReset: PortHandler {
        private unowned let power: PowerManagement
        init(_ power: PowerManagement) { self.power = power }
        func portRead(offset: UInt16, width: Int) -> UInt32 { 2 }
        func portWrite(offset: UInt16, width: Int, value: UInt32) {
            if value & 1 != 0 { power.request(.reset) }
        }
    }

    /// The command port of a keyboard controller that has nothing but the reset line. It always shows a byte
    /// that waits and room for a command, so that a driver's probe soon gives up and a reset need not wait.
    private final class KeyboardCommand: PortHandler {
        private unowned let power: PowerManagement
        init(_ power: PowerManagement) { self.power = power }
        func portRead(offset: UInt16, width: Int) -> UInt32 { 1 }
        func portWrite(offset: UInt16, width: Int, value: UInt32) {
            // 0xF0–0xFF pulse output lines low; bit 0 clear means the reset line.
            if value & 0xF1 == 0xF0 { power.request(.reset) }
        }
    }
}

extension PowerManagement: PortHandler {
    private func byte(_ index: UInt16) -> UInt8 {
        let register = [status, enable, control][Int(index >> 1)]
        return UInt8(truncatingIfNeeded: register >> (8 * (index & 1)))
    }

    public func portRead(offset: UInt16, width: Int) -> UInt32 {
        (0..<UInt16(width)).reduce(0) { $0 | UInt32(byte(offset + $1)) << (8 * UInt32($1)) }
    }

    public func portWrite(offset: UInt16, width: Int, value: UInt32) {
        for index in 0..<UInt16(width) {
            let shift = 8 * ((offset + index) & 1)
            let byte = UInt16(truncatingIfNeeded: value >> (8 * UInt32(index))) & 0xFF
            switch (offset + index) >> 1 {
            case 0: status &= ~(byte << shift)
            case 1: enable = enable & ~(0xFF << shift) | byte << shift
            // Type and enable bits are in the upper half.
            default: if shift == 8 { setControl(byte << 8) }
            }
        }
        updateOutput()
    }
}

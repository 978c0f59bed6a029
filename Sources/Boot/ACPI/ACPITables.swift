// SPDX-License-Identifier: Apache-2.0
//
// The ACPI tables of the PC (ACPI 6.5, chapter 5): how to switch it off and reset it, where its interrupt
// controllers are, and what is on its buses. Without them a stock kernel finds no power-off, does not use the local
// APIC, and complains.

import Support

/// What the tables say about the machine.
public struct ACPIPlatform: Sendable {
    /// Bus addresses that belong to PCI devices.
    public var pciWindow: ClosedRange<UInt32>
    /// The interrupt input of each PCI slot from 1 on.
    public var pciInputs: [Int]
    public var localAPIC: UInt32
    public var ioAPIC: UInt32
    /// First port of the power management registers: status, enable, control.
    public var powerPort: UInt16
    public var powerInterrupt: Int
    /// The sleep type for "off".
    public var offType: UInt8
    /// What to write to port 0xCF9 for a reset.
    public var resetValue: UInt8
    public var serialPort: UInt16
    public var serialInterrupt: Int

    public init(
        pciWindow: ClosedRange<UInt32>, pciInputs: [Int], localAPIC: UInt32, ioAPIC: UInt32,
        powerPort: UInt16, powerInterrupt: Int, offType: UInt8, resetValue: UInt8, serialPort: UInt16,
        serialInterrupt: Int
    ) {
        self.pciWindow = pciWindow
        self.pciInputs = pciInputs
        self.localAPIC = localAPIC
        self.ioAPIC = ioAPIC
        self.powerPort = powerPort
        self.powerInterrupt = powerInterrupt
        self.offType = offType
        self.resetValue = resetValue
        self.serialPort = serialPort
        self.serialInterrupt = serialInterrupt
    }

    /// The tables with their addresses, the root pointer first. They go into the firmware's part of memory.
    public func tables() -> [(address: UInt32, bytes: [UInt8])] {
        let root = UInt32(PCLayout.firmware.upperBound - 0x1_0000)
        var next = root + 0x100
        func place(_ bytes: [UInt8]) -> (address: UInt32, bytes: [UInt8]) {
            let address = next
            next = (next + UInt32(bytes.count) + 63) & ~63
            return (address, bytes)
        }
        let facs = place(firmwareControl)
        let dsdt = place(definitions)
        let fadt = place(fixedDescription(facs: facs.address, dsdt: dsdt.address))
        let madt = place(interruptControllers)
        let entries = [fadt, madt].flatMap { AML.little($0.address, 4) }
        let rsdt = place(Self.table("RSDT", revision: 1, entries))
        return [(root, Self.rootPointer(rsdt.address)), facs, dsdt, fadt, madt, rsdt]
    }

    // Clause 5.2.5.3, the first revision, which needs no 64-bit addresses.
    private static func rootPointer(_ rsdt: UInt32) -> [UInt8] {
        var bytes = Array("RSD PTR ".utf8) + [0] + Array("LGUEST".utf8) + [0] + AML.little(rsdt, 4)
        bytes[8] = checksum(bytes)
        return bytes
    }

    /// Clause 5.2.10. Nothing sleeps here, so nobody reads more than the signature.
    private var firmwareControl: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 64)
        bytes.replaceSubrange(0..<4, with: Array("FACS".utf8))
        bytes[4] = 64
        bytes[32] = 1
        return bytes
    }

    /// Clause 5.2.9, revision 3: fields by their offsets in the table.
    private func fixedDescription(facs: UInt32, dsdt: UInt32) -> [UInt8] {
        var body = [UInt8](repeating: 0, count: 244 - 36)
        func put(_ value: UInt32, _ offset: Int, _ width: Int) {
            body.replaceSubrange(offset - 36..<offset - 36 + width, with: AML.little(value, width))
        }
        func register(_ port: UInt32, _ offset: Int, bits: UInt32) {
            put(1 | bits << 8, offset, 4)  // in port space
            put(port, offset + 4, 4)
        }
        let event = UInt32(powerPort)
        let control = event + 4
        put(facs, 36, 4)
        put(dsdt, 40, 4)
        put(UInt32(powerInterrupt), 46, 2)
        put(event, 56, 4)
        put(control, 64, 4)
        put(4, 88, 1)
        put(2, 89, 1)
        put(0xFFF, 96, 2)  // no C2
        put(0xFFF, 98, 2)  // no C3
        put(0x32, 108, 1)  // the clock's century
        // Legacy devices, no graphics card, no keyboard controller, no PCIe power management.
        put(1 << 0 | 1 << 2 | 1 << 4, 109, 2)
        // WBINVD works, C1 works, no sleep button, the clock cannot wake, there is a reset register.
        put(1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10, 112, 4)
        register(0xCF9, 116, bits: 8)
        put(UInt32(resetValue), 128, 1)
        put(dsdt, 140, 4)
        register(event, 148, bits: 32)
        register(control, 172, bits: 16)
        return Self.table("FACP", revision: 3, body)
    }

    /// Clause 5.2.12: one processor, one I/O APIC, the timer on its input 2, ACPI's own interrupt a level.
    private var interruptControllers: [UInt8] {
        var body = AML.little(localAPIC, 4) + AML.little(1, 4)
        body += [0, 8, 0, 0] + AML.little(1, 4)
        body += [1, 12, 0, 0] + AML.little(ioAPIC, 4) + AML.little(0, 4)
        body += [2, 10, 0, 0] + AML.little(2, 4) + AML.little(0, 2)
        let power = UInt32(powerInterrupt)
        body += [2, 10, 0, UInt8(truncatingIfNeeded: power)] + AML.little(power, 4) + AML.little(0x0D, 2)
        body += [4, 6, 0xFF] + AML.little(0, 2) + [1]
        return Self.table("APIC", revision: 1, body)
    }

    /// The DSDT: the PCI bus with its interrupts, the serial port, the clock, and what "off" is.
    private var definitions: [UInt8] {
        let routes = pciInputs.enumerated().map { index, input in
            AML.package([
                AML.integer(UInt32(index + 1) << 16 | 0xFFFF), AML.integer(0), AML.integer(0),
                AML.integer(UInt32(input)),
            ])
        }
        let bus = AML.device(
            "PCI0",
            [
                AML.define("_HID", AML.hardwareID("PNP0A03")), AML.define("_ADR", AML.integer(0)),
                AML.define(
                    "_CRS",
                    AML.resources([
                        AML.busRange(0), AML.ports(0xCF8, count: 8), AML.portWindow(0...0xCF7),
                        AML.portWindow(0xD00...0xFFFF), AML.memoryWindow(pciWindow),
                    ])), AML.define("_PRT", AML.package(routes)),
            ])
        let serial = AML.device(
            "COM1",
            [
                AML.define("_HID", AML.hardwareID("PNP0501")), AML.define("_UID", AML.integer(1)),
                AML.define(
                    "_CRS",
                    AML.resources([
                        AML.ports(UInt32(serialPort), count: 8), AML.interrupt(serialInterrupt),
                    ])),
            ])
        let clock = AML.device(
            "RTC",
            [
                AML.define("_HID", AML.hardwareID("PNP0B00")),
                AML.define("_CRS", AML.resources([AML.ports(0x70, count: 2), AML.interrupt(8)])),
            ])
        let off = AML.integer(UInt32(offType))
        let sleep = AML.define("\\_S5", AML.package([off, off, AML.integer(0), AML.integer(0)]))
        return Self.table("DSDT", revision: 2, AML.scope("\\_SB", [bus, serial, clock]) + sleep)
    }

    /// A table with its header (clause 5.2.6).
    private static func table(_ signature: String, revision: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = Array(signature.utf8) + AML.little(UInt32(36 + body.count), 4) + [revision, 0]
        bytes += Array("LGUESTLGUESTPC".utf8) + AML.little(1, 4) + Array("LGST".utf8) + AML.little(1, 4)
        bytes += body
        bytes[9] = checksum(bytes)
        return bytes
    }

    /// What makes the sum of all bytes zero.
    private static func checksum(_ bytes: [UInt8]) -> UInt8 { 0 &- bytes.reduce(0, &+) }
}

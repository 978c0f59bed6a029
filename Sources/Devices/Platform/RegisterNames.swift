// SPDX-License-Identifier: Apache-2.0
//
// What a trace calls the registers of the interrupt controllers (Intel SDM volume 3, table 11-1; the I/O APIC has
// two in memory).

extension LocalAPIC {
    private static let names: [UInt64: String] = [
        0x02: "id", 0x03: "version", 0x08: "task_priority", 0x0A: "processor_priority",
        0x0B: "end_of_interrupt", 0x0D: "logical_destination", 0x0E: "destination_format", 0x0F: "spurious",
        0x28: "errors", 0x30: "command", 0x31: "command_high", 0x32: "timer", 0x33: "thermal",
        0x34: "performance", 0x35: "lint0", 0x36: "lint1", 0x37: "error", 0x38: "initial_count",
        0x39: "current_count", 0x3E: "divide",
    ]

    public func registerName(offset: UInt64) -> String? {
        let register = offset >> 4
        switch register {
        case 0x10...0x17: return "apic.in_service"
        case 0x18...0x1F: return "apic.trigger"
        case 0x20...0x27: return "apic.requests"
        default: return Self.names[register].map { "apic." + $0 }
        }
    }
}

extension IOAPIC {
    public func registerName(offset: UInt64) -> String? {
        switch offset {
        case 0x00: "ioapic.index"
        case 0x10: "ioapic.data"
        default: nil
        }
    }
}

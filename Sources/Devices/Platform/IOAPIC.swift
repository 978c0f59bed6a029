// SPDX-License-Identifier: Apache-2.0
//
// The I/O APIC (Intel data sheet 290566): 24 interrupt inputs, each with the vector and destination of the message that
// it makes. A kernel that uses the local APIC's timer wants its devices' interrupts from here.

public final class IOAPIC {
    public static let base: UInt64 = 0xFEC0_0000
    public static let length: UInt64 = 0x20
    static let inputs = 24

    private static let masked: UInt64 = 1 << 16
    private static let isLevel: UInt64 = 1 << 15
    private static let remoteRequest: UInt64 = 1 << 14

    private let local: LocalAPIC
    private var selected: UInt8 = 0
    private var id: UInt32 = 0
    private var entries = [UInt64](repeating: masked, count: inputs)
    /// The inputs as they are.
    private var lines: UInt32 = 0

    public init(local: LocalAPIC) {
        self.local = local
        local.levelServed = { [unowned self] in served($0) }
    }

    public func setLine(_ input: Int, _ high: Bool) {
        let bit = UInt32(1) << UInt32(input)
        let rises = high && lines & bit == 0
        lines = high ? lines | bit : lines & ~bit
        if entries[input] & Self.isLevel != 0 ? high : rises { send(input) }
    }

    /// Makes the message of an input that is active. A level's is made once, until it has been served.
    private func send(_ input: Int) {
        let entry = entries[input]
        guard entry & (Self.masked | Self.remoteRequest) == 0 else { return }
        let destination = UInt8(truncatingIfNeeded: entry >> 56)
        guard local.isAddressed(destination, logically: entry & 0x800 != 0) else { return }
        let level = entry & Self.isLevel != 0
        if level { entries[input] |= Self.remoteRequest }
        // Fixed and lowest priority are the same for one processor; the others have no use on a PC.
        if entry >> 8 & 7 <= 1 { local.accept(vector: UInt8(truncatingIfNeeded: entry), isLevel: level) }
    }

    /// The processor has served `vector`: inputs that are still active ask again.
    private func served(_ vector: UInt8) {
        for input in 0..<Self.inputs {
            let entry = entries[input]
            guard entry & Self.remoteRequest != 0, UInt8(truncatingIfNeeded: entry) == vector else {
                continue
            }
            entries[input] &= ~Self.remoteRequest
            if lines >> UInt32(input) & 1 != 0 { send(input) }
        }
    }

    private func readSelected() -> UInt32 {
        switch selected {
        case 0, 2: return id
        case 1: return UInt32(Self.inputs - 1) << 16 | 0x11
        default:
            guard let (input, isHigh) = redirection else { return 0 }
            return UInt32(truncatingIfNeeded: isHigh ? entries[input] >> 32 : entries[input])
        }
    }

    private func writeSelected(_ value: UInt32) {
        if selected == 0 { id = value & 0x0F00_0000 }
        guard let (input, isHigh) = redirection else { return }
        let old = entries[input]
        if isHigh {
            entries[input] = old & 0xFFFF_FFFF | UInt64(value) << 32
            return
        }
        // Delivery status and remote request are not the guest's to write; an edge has no remote request.
        var new = old & 0xFFFF_FFFF_0000_4000 | UInt64(value & 0x0001_AFFF)
        if new & Self.isLevel == 0 { new &= ~Self.remoteRequest }
        entries[input] = new
        if new & Self.isLevel != 0, lines >> UInt32(input) & 1 != 0 { send(input) }
    }

    /// Which half of which entry is selected.
    private var redirection: (input: Int, isHigh: Bool)? {
        guard selected >= 0x10, Int(selected - 0x10) < 2 * Self.inputs else { return nil }
        return (Int(selected - 0x10) / 2, selected & 1 != 0)
    }
}

extension IOAPIC: MMIOHandler {
    public func mmioRead(offset: UInt64, width: Int) -> UInt64 {
        switch offset {
        case 0: UInt64(selected)
        case 0x10: UInt64(readSelected())
        default: 0
        }
    }

    public func mmioWrite(offset: UInt64, width: Int, value: UInt64) {
        switch offset {
        case 0: selected = UInt8(truncatingIfNeeded: value)
        case 0x10: writeSelected(UInt32(truncatingIfNeeded: value))
        default: break
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The few words of ACPI's byte code (ACPI 6.5, chapter 20) and of its resource descriptions (clause 6.4) that
// `ACPITables` writes.

/// Builds pieces of AML. Names have four letters or fewer; a leading backslash is the root.
enum AML {
    static func scope(_ name: String, _ terms: [[UInt8]]) -> [UInt8] { block([0x10], self.name(name), terms) }
    static func device(_ name: String, _ terms: [[UInt8]]) -> [UInt8] {
        block([0x5B, 0x82], self.name(name), terms)
    }
    static func define(_ name: String, _ value: [UInt8]) -> [UInt8] { [0x08] + self.name(name) + value }

    static func integer(_ value: UInt32) -> [UInt8] {
        switch value {
        case 0, 1: [UInt8(value)]
        case ...0xFF: [0x0A, UInt8(value)]
        case ...0xFFFF: [0x0B] + little(value, 2)
        default: [0x0C] + little(value, 4)
        }
    }

    static func package(_ elements: [[UInt8]]) -> [UInt8] {
        block([0x12], [UInt8(truncatingIfNeeded: elements.count)], elements)
    }

    /// A buffer of resource descriptors with its end tag.
    static func resources(_ descriptors: [[UInt8]]) -> [UInt8] {
        let bytes = descriptors.flatMap(\.self) + [0x79, 0]
        return block([0x11], integer(UInt32(bytes.count)), [bytes])
    }

    /// `PNP0A03` and the like as the number that stands for it.
    static func hardwareID(_ text: String) -> [UInt8] {
        let letters = text.utf8.prefix(3).reduce(0 as UInt32) { $0 << 5 | UInt32($1 &- 0x40) & 31 }
        let number = UInt32(text.dropFirst(3), radix: 16) ?? 0
        return integer((letters << 16 | number & 0xFFFF).byteSwapped)
    }

    // Resource descriptors

    static func ports(_ first: UInt32, count: UInt8) -> [UInt8] {
        [0x47, 1] + little(first, 2) + little(first, 2) + [1, count]
    }
    static func interrupt(_ irq: Int) -> [UInt8] { [0x22] + little(1 << UInt32(irq & 15), 2) }
    static func busRange(_ last: UInt32) -> [UInt8] { window16(kind: 2, detail: 0, 0...last) }
    static func portWindow(_ range: ClosedRange<UInt32>) -> [UInt8] {
        window16(kind: 1, detail: 3, range)
    }
    static func memoryWindow(_ range: ClosedRange<UInt32>) -> [UInt8] {
        [0x87, 0x17, 0, 0, 0x0C, 1] + little(0, 4) + little(range.lowerBound, 4)
            + little(range.upperBound, 4) + little(0, 4)
            + little(range.upperBound - range.lowerBound + 1, 4)
    }

    private static func window16(
        kind: UInt8, detail: UInt8, _ range: ClosedRange<UInt32>
    ) -> [UInt8] {
        [0x88, 0x0D, 0, kind, 0x0C, detail] + little(0, 2) + little(range.lowerBound, 2)
            + little(range.upperBound, 2) + little(0, 2) + little(range.upperBound - range.lowerBound + 1, 2)
    }

    // Pieces

    static func little(_ value: UInt32, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }

    private static func name(_ text: String) -> [UInt8] {
        var letters = Array(text.utf8)
        let root: [UInt8] = letters.first == 0x5C ? [letters.removeFirst()] : []
        return root + letters + [UInt8](repeating: 0x5F, count: max(0, 4 - letters.count))
    }

    private static func block(_ opcode: [UInt8], _ head: [UInt8], _ terms: [[UInt8]]) -> [UInt8] {
        let body = head + terms.flatMap(\.self)
        return opcode + length(body.count) + body
    }

    /// The length of a block with the bytes that state it (clause 20.2.4).
    private static func length(_ count: Int) -> [UInt8] {
        if count + 1 < 0x40 { return [UInt8(count + 1)] }
        if count + 2 < 0x1000 {
            let total = count + 2
            return [UInt8(0x40 | total & 15), UInt8(total >> 4)]
        }
        let total = count + 3
        return [UInt8(0x80 | total & 15), UInt8(total >> 4 & 0xFF), UInt8(truncatingIfNeeded: total >> 12)]
    }
}

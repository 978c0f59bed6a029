// SPDX-License-Identifier: Apache-2.0

/// An 8-byte segment or gate descriptor (Intel SDM volume 3, 3.4.5 and 6.11).
public struct Descriptor: Equatable, Sendable {
    public var bits: UInt64

    public init(_ bits: UInt64) { self.bits = bits }

    public var base: UInt32 {
        UInt32(truncatingIfNeeded: bits >> 16 & 0xFF_FFFF)
            | UInt32(truncatingIfNeeded: bits >> 32 & 0xFF00_0000)
    }
    /// In bytes, with the granularity applied.
    public var limit: UInt32 {
        let raw =
            UInt32(truncatingIfNeeded: bits & 0xFFFF) | UInt32(truncatingIfNeeded: bits >> 32 & 0xF_0000)
        return bits >> 55 & 1 != 0 ? raw << 12 | 0xFFF : raw
    }
    /// As `SegmentRegister.attributes`.
    public var attributes: UInt16 { UInt16(truncatingIfNeeded: bits >> 40 & 0xF0FF) }
    /// Type field, four bits.
    public var type: UInt8 { UInt8(truncatingIfNeeded: bits >> 40 & 15) }
    /// The S bit: code or data.
    public var isSegment: Bool { bits >> 44 & 1 != 0 }
    public var isCode: Bool { isSegment && type & 8 != 0 }
    public var isConforming: Bool { isCode && type & 4 != 0 }
    public var isWritableData: Bool { isSegment && type & 0xA == 2 }
    public var isReadable: Bool { isSegment && (type & 8 == 0 || type & 2 != 0) }
    public var dpl: UInt8 { UInt8(truncatingIfNeeded: bits >> 45 & 3) }
    public var isPresent: Bool { bits >> 47 & 1 != 0 }

    // Gates
    public var gateSelector: UInt16 { UInt16(truncatingIfNeeded: bits >> 16) }
    public var gateOffset: UInt32 {
        UInt32(truncatingIfNeeded: bits & 0xFFFF) | UInt32(truncatingIfNeeded: bits >> 32 & 0xFFFF_0000)
    }
    public var gateParameterCount: Int { Int(bits >> 32 & 31) }

    /// The register contents that loading this descriptor gives.
    public func register(selector: UInt16) -> SegmentRegister {
        SegmentRegister(selector: selector, attributes: attributes, base: base, limit: limit)
    }

    public static let accessed: UInt64 = 1 << 40

    /// System descriptor types.
    public enum SystemType {
        public static let tss16: UInt8 = 1, ldt: UInt8 = 2, tss16Busy: UInt8 = 3, call16: UInt8 = 4
        public static let task: UInt8 = 5, interrupt16: UInt8 = 6, trap16: UInt8 = 7
        public static let tss32: UInt8 = 9, tss32Busy: UInt8 = 11, call32: UInt8 = 12
        public static let interrupt32: UInt8 = 14, trap32: UInt8 = 15
    }
}

extension SegmentRegister {
    public var isPresent: Bool { attributes & 0x80 != 0 }
    public var dpl: UInt8 { UInt8(attributes >> 5 & 3) }
    public var rpl: UInt8 { UInt8(selector & 3) }
    /// D/B: 32-bit code, or a stack that uses ESP, or an expand-down upper bound of 4 GiB.
    public var isBig: Bool { attributes & 0x4000 != 0 }
    public var isCode: Bool { attributes & 0x18 == 0x18 }
    public var isExpandDown: Bool { attributes & 0x1C == 0x14 }
    public var isWritable: Bool { attributes & 0x1A == 0x12 }
    public var isReadable: Bool { attributes & 0x10 != 0 && (attributes & 8 == 0 || attributes & 2 != 0) }
    /// Base 0 and limit 4 GiB, expand-up.
    public var isFlat: Bool { isPresent && base == 0 && limit == UInt32.max && !isExpandDown }
    var isUsable: Bool { isPresent }
}

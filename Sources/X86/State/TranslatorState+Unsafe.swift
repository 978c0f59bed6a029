// SPDX-License-Identifier: Apache-2.0
//
// The part of a virtual processor that only generated code and its engine use, and the offsets at which
// generated code finds the rest.

/// What generated code and its engine tell each other.
public struct TranslatorState {
    /// The arithmetic flags while generated code runs and they are not in the host's: LAHF's AH in bits
    /// 8–15, OF in bit 0.
    public var flagImage: UInt32 = 0
    /// Why generated code was left.
    public var exitReason: UInt32 = 0
    /// The link whose target is wanted.
    public var exitLink: UInt32 = 0
    /// A value that must outlive a slow path.
    public var spill: UInt32 = 0
    /// Instructions that may still run, as generated code counts down.
    public var budget: Int64 = 0
    /// Address and record of a store that goes by the bounce buffer.
    public var pendingAddress: UInt32 = 0
    public var pendingRecord: UInt32 = 0
    /// Stands in for an operand that cannot be reached in one piece.
    public var bounce = InlineArray<6, UInt64>(repeating: 0)
    /// The engine, for the functions that generated code calls.
    public var context: UInt = 0
    /// The jump table.
    public var jumps: UInt = 0
    /// Stack pointer of the engine while generated code runs.
    public var hostStack: UInt = 0
    /// Stack pointer of generated code while the engine runs, and where its stack begins.
    public var codeStack: UInt = 0
    public var codeStackBase: UInt = 0
    /// The guest's time-stamp counter as a function of the host's: `guest + (host - base) * rate / 2^32`. A rate of 0
    /// means that the environment has to be asked.
    public var timestampBase: UInt64 = 0
    public var timestampRate: UInt64 = 0
    public var timestampGuest: UInt64 = 0
    /// The window that generated code runs in, or 0.
    public var window: UInt = 0
    /// The bounce buffer that is in use, aligned to 16.
    public var bounceAddress: UInt = 0
    /// Whether the guest's XMM registers and MXCSR are in the host's, while generated code runs.
    public var hasSSE: UInt32 = 0
    /// The same for the x87 unit.
    public var hasX87: UInt32 = 0
    /// The host's MXCSR.
    public var hostMXCSR: UInt32 = 0x1F80
    /// An XSAVE area, aligned to 64.
    public var transferArea: UInt = 0
    public var crossing = CrossingState()
}

extension SegmentRegister {
    /// Bit 0: offsets up to the limit may be read; bit 1: they may be written.
    var simpleAccess: UInt32 {
        guard isPresent, !isExpandDown else { return 0 }
        return (isReadable ? 1 : 0) | (isWritable ? 2 : 0)
    }
}

extension CPU {
    /// Whether no access may do without a look, because the guest watches for one.
    public var looksAtEachAccess: Bool { system.readTable == owner.tables.empty }

    /// Where user code of the current address space is to run: its window, or 0 for flat tables.
    public var wantedWindow: UInt {
        cpl == 3 && !looksAtEachAccess ? userWindow : 0
    }

    /// Window of the current address space's user code, or 0.
    public var userWindow: UInt { owner.tables.current.window }

    /// Where code has moved since the last time of asking.
    public enum CodeMove {
        case nowhere
        /// Only in what address spaces have of their own, because another one has become the current one.
        case inUserPart
        case everywhere
    }

    public func takeCodeMoved() -> CodeMove { owner.tables.takeCodeMoved() }

    /// Address of the activity, for a profiler's signal handler. Valid while the storage lives.
    public var activityAddress: UnsafePointer<UInt32>? {
        MemoryLayout<CPUState>.offset(of: \.activity).map {
            UnsafePointer(raw.advanced(by: $0).assumingMemoryBound(to: UInt32.self))
        }
    }

    /// Address of the state, for generated code.
    public var stateAddress: UnsafeMutableRawPointer { UnsafeMutableRawPointer(state) }

    /// The arithmetic flags in the form in which generated code saves them.
    @inline(__always)
    public var flagImage: UInt32 {
        let value = eflags
        return (value & 0xD5 | 2) << 8 | (value >> 11) & 1
    }

    /// The reverse.
    @inline(__always)
    public func setFlagImage(_ image: UInt32) {
        setArithmeticFlags((image >> 8) & 0xD5 | (image & 1) << 11)
    }
}

/// Offsets of fields in `CPUState`, in bytes.
public struct StateLayout: Sendable {
    public let eip = StateLayout.offset(\.eip)
    public let eflagsOther = StateLayout.offset(\.eflagsOther)
    public let readTable = StateLayout.offset(\.readTable)
    public let writeTable = StateLayout.offset(\.writeTable)
    public let executeTable = StateLayout.offset(\.executeTable)
    public let cr0 = StateLayout.offset(\.cr0)
    public let cr4 = StateLayout.offset(\.cr4)
    public let fpu = StateLayout.offset(\.fpu)
    public let simpleSegments = StateLayout.offset(\.simpleSegments)
    public let flagImage = StateLayout.offset(\.translator.flagImage)
    public let exitReason = StateLayout.offset(\.translator.exitReason)
    public let exitLink = StateLayout.offset(\.translator.exitLink)
    public let spill = StateLayout.offset(\.translator.spill)
    public let budget = StateLayout.offset(\.translator.budget)
    public let bounce = StateLayout.offset(\.translator.bounce)
    public let context = StateLayout.offset(\.translator.context)
    public let jumps = StateLayout.offset(\.translator.jumps)
    public let hostStack = StateLayout.offset(\.translator.hostStack)
    public let codeStack = StateLayout.offset(\.translator.codeStack)
    public let codeStackBase = StateLayout.offset(\.translator.codeStackBase)
    public let timestampBase = StateLayout.offset(\.translator.timestampBase)
    public let timestampRate = StateLayout.offset(\.translator.timestampRate)
    public let timestampGuest = StateLayout.offset(\.translator.timestampGuest)
    public let window = StateLayout.offset(\.translator.window)
    public let pendingRecord = StateLayout.offset(\.translator.pendingRecord)
    public let pendingAddress = StateLayout.offset(\.translator.pendingAddress)
    public let bounceAddress = StateLayout.offset(\.translator.bounceAddress)
    public let hasSSE = StateLayout.offset(\.translator.hasSSE)
    public let hasX87 = StateLayout.offset(\.translator.hasX87)
    public let transferArea = StateLayout.offset(\.translator.transferArea)
    public let hostMXCSR = StateLayout.offset(\.translator.hostMXCSR)
    public let segmentCache = StateLayout.offset(\.segmentCache)
    public let segmentKey = StateLayout.offset(\.segmentKey)
    /// Within an entry of the segment cache, which has 32 bytes.
    public let cachedKey = 0, cachedTraits = 4, cachedRegister = 8, cachedRaw = 24
    public let gdtBase = StateLayout.offset(\.gdtBase)
    public let systemReadTable = StateLayout.offset(\.systemReadTable)
    public let cpl = StateLayout.offset(\.cpl)
    public let interruptWaits = StateLayout.offset(\.interruptWaits)
    public let interruptShadow = StateLayout.offset(\.interruptShadow)
    public let traced = StateLayout.offset(\.traced)
    public let attention = StateLayout.offset(\.attention)
    public let systemWriteTable = StateLayout.offset(\.systemWriteTable)
    public let branches = StateLayout.offset(\.branches)
    public let branchCursor = StateLayout.offset(\.branchCursor)
    public let sysenterCS = StateLayout.offset(\.sysenterCS)
    public let sysenterESP = StateLayout.offset(\.sysenterESP)
    public let sysenterEIP = StateLayout.offset(\.sysenterEIP)
    public let systemCall = FieldOffsets<SystemCallGate>(StateLayout.offset(\.systemCall))
    public let crossing = FieldOffsets<CrossingState>(StateLayout.offset(\.translator.crossing))
    public let returnCache = FieldOffsets<CachedReturn>(StateLayout.offset(\.returnCache))
    /// Bytes between two flat tables of an address space, which lie in this order: the kernel's for reads and writes, the
    /// user's for both, the kernel's for fetches, the user's.
    public static let tableBytes = AddressSpaceTables.tableBytes
    private let segments = StateLayout.offset(\.segments)

    public init() {}

    public func gpr(_ index: Int) -> Int { index * 8 }
    public func segmentSelector(_ index: Int) -> Int {
        segments + index * MemoryLayout<SegmentRegister>.stride
    }
    public func segmentLimit(_ index: Int) -> Int { segmentBase(index) + 4 }
    public func segmentBase(_ index: Int) -> Int {
        segments + index * MemoryLayout<SegmentRegister>.stride + 4
    }

    private static func offset(_ path: PartialKeyPath<CPUState>) -> Int { offsetOf(path) }
}

private func offsetOf<T>(_ path: PartialKeyPath<T>) -> Int {
    guard let offset = MemoryLayout<T>.offset(of: path) else {
        preconditionFailure("\(T.self) keeps a field that has no offset")
    }
    return offset
}

/// Offsets of the fields of a structure inside `CPUState`, by their names.
@dynamicMemberLookup
public struct FieldOffsets<Structure>: Sendable {
    private let start: Int

    init(_ start: Int) { self.start = start }

    public subscript<Value>(dynamicMember path: KeyPath<Structure, Value>) -> Int { start + offsetOf(path) }
}

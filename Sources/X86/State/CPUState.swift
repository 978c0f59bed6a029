// SPDX-License-Identifier: Apache-2.0
//
// Everything that makes up one virtual processor, as one flat block. Generated code and the
// interpreter address it by offset, so hot fields come first and nothing here is a class.

/// Indices of the general registers, as instructions encode them.
public enum GPR {
    public static let eax = 0, ecx = 1, edx = 2, ebx = 3, esp = 4, ebp = 5, esi = 6, edi = 7
    /// Always zero: stands for "no base" and "no index".
    public static let zero = 16
    /// Slots in the register file: 8 now, 16 in 64-bit mode, the zero slot, rounded up.
    public static let slots = 32
}

/// Indices of the segment registers, as instructions encode them.
public enum SegmentIndex {
    public static let es = 0, cs = 1, ss = 2, ds = 3, fs = 4, gs = 5
    /// The two system segments share the register layout.
    public static let ldtr = 6, tr = 7
    /// Not a register: an operand whose segment is known to be flat.
    public static let flat = 8
}

/// A segment register: the selector and the hidden part, as loaded from its descriptor.
public struct SegmentRegister: BitwiseCopyable, Sendable, Equatable {
    public var selector: UInt16 = 0
    /// Descriptor bits 40–47 and 52–55 in place: type, S, DPL, P in bits 0–7; AVL, L, D/B, G in 12–15.
    public var attributes: UInt16 = 0
    /// First linear address.
    public var base: UInt32 = 0
    /// Last valid offset in bytes (expand-down: last invalid one).
    public var limit: UInt32 = 0

    public init() {}

    public init(selector: UInt16, attributes: UInt16, base: UInt32, limit: UInt32) {
        self.selector = selector
        self.attributes = attributes
        self.base = base
        self.limit = limit
    }
}

/// One virtual processor.
public struct CPUState {
    // Hot: registers, lazy flags, translation.
    public var gpr = InlineArray<32, UInt64>(repeating: 0)
    /// Last arithmetic result, sign-extended to 32 bits (see `Flags.swift`).
    public var flagResult: UInt32 = 0
    /// Carry bits that go with `flagResult`.
    public var flagAux: UInt32 = 0
    public var eip: UInt32 = 0
    /// EFLAGS without CF, PF, AF, ZF, SF, OF: those are in the two words above.
    public var eflagsOther: UInt32 = 2
    /// Flat table for reads at the current privilege: host address of a page minus its linear address.
    public var readTable: UnsafeMutablePointer<UInt>
    /// The same for writes.
    public var writeTable: UnsafeMutablePointer<UInt>
    /// The same for instruction fetches.
    public var executeTable: UnsafeMutablePointer<UInt>
    /// The tables of supervisor accesses, whatever the current privilege.
    public var systemReadTable: UnsafeMutablePointer<UInt>
    public var systemWriteTable: UnsafeMutablePointer<UInt>
    /// Not zero when the run loop must look at something before the next block.
    public var attention: UInt32 = 0
    /// Current privilege level, 0–3.
    public var cpl: UInt8 = 0
    /// What a decoded block may assume (see `CodeMode`).
    public var mode: CodeMode = []
    /// What of the edges of guest code is to be recorded: bits of `TraceCategory`. Written by the tap alone.
    public var traced: UInt32 = 0
    /// Instructions retired since the start.
    public var instructions: UInt64 = 0

    public var segments = InlineArray<8, SegmentRegister>(repeating: SegmentRegister())

    // System registers.
    public var cr0: UInt32 = 0
    public var cr2: UInt32 = 0
    public var cr3: UInt32 = 0
    public var cr4: UInt32 = 0
    public var efer: UInt64 = 0
    public var dr = InlineArray<8, UInt32>(repeating: 0)
    /// Data breakpoints that the current instruction has hit, as bits of DR6.
    public var dataBreakpoints: UInt32 = 0
    public var pdpte = InlineArray<4, UInt64>(repeating: 0)
    public var gdtBase: UInt32 = 0
    public var gdtLimit: UInt32 = 0
    public var idtBase: UInt32 = 0
    public var idtLimit: UInt32 = 0
    /// A descriptor table kept outside guest memory by a paravirtual guest interface; used
    /// instead of `gdtBase` while `usesPrivateGDT` is set.
    public var privateGDT = InlineArray<32, UInt64>(repeating: 0)
    public var usesPrivateGDT = false
    /// Checked descriptors of `privateGDT` (see `DescriptorCache.swift`).
    public var segmentCache = InlineArray<32, CachedSegment>(repeating: CachedSegment())
    public var returnCache = CachedReturn()
    /// Key of entries of `segmentCache` at the current privilege, without the selector.
    public var segmentKey: UInt32 = 1 << 31
    /// PAE: read the four top entries from memory at each walk, since a paravirtual guest changes
    /// them without loading CR3.
    public var walksTopLevelInMemory = false
    /// Set by `mov ss`/`pop ss`/`sti`: no interrupt before the next instruction has run.
    public var interruptShadow = false
    /// An interrupt is there and waits for EFLAGS.IF: whatever sets the flag asks for attention.
    public var interruptWaits = false
    /// There are entries in `CPU.debugPoints`. Here, since every slow path asks.
    public internal(set) var hasDebugPoints = false
    /// A debugger outside the guest goes instruction by instruction: repeated ones stop after each element.
    public var isStepped = false
    /// An operand whose segment has been checked may run over the end of the address space to its beginning.
    public var wrapsAround = false
    /// Linear addresses from here up are the same in all address spaces.
    public var sharedBase: UInt32 = UInt32.max
    public var sysenterCS: UInt32 = 0
    public var sysenterESP: UInt32 = 0
    public var sysenterEIP: UInt32 = 0

    /// See `SystemCallGate`.
    public var systemCall = SystemCallGate()

    public var fpu = FPUState()

    /// Targets of the last sixteen taken branches, newest at `branchCursor - 1`.
    public var branches = InlineArray<16, UInt32>(repeating: 0)
    public var branchCursor: UInt32 = 0

    /// Bits 0 and 1: FS, bits 2 and 3: GS may be read, written at offsets up to the limit.
    public var simpleSegments: UInt32 = 0
    /// What generated code and its engine tell each other.
    public var translator = TranslatorState()

    /// One of `Activity`.
    public var activity = Activity.other
    /// Walks of the guest's page tables.
    public var pageWalks: UInt64 = 0

    init(tables: TranslationTables) {
        readTable = tables.current.kernelRead
        writeTable = tables.current.kernelWrite
        executeTable = tables.current.kernelExecute
        systemReadTable = tables.current.kernelRead
        systemWriteTable = tables.current.kernelWrite
    }
}

/// What decoding and block building depend on; part of a block's key.
public struct CodeMode: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// CS.D: 32-bit operands and addresses by default.
    public static let code32 = CodeMode(rawValue: 1)
    /// SS.B: pushes use ESP, not SP.
    public static let stack32 = CodeMode(rawValue: 2)
    /// DS, ES and SS: base 0, limit 4 GiB, writable: addresses need no segment check.
    public static let flatData = CodeMode(rawValue: 4)
    /// CS: base 0, limit 4 GiB.
    public static let flatCode = CodeMode(rawValue: 8)

    /// The mode that Linux, and nearly every other 32-bit system, runs in.
    public static let flat32: CodeMode = [.code32, .stack32, .flatData, .flatCode]
}

/// x87, MMX and SSE registers in the layout of FXSAVE's 512 bytes (Intel SDM volume 1, 10.5.1),
/// so that they can be loaded into the host's own unit as they are.
public struct FPUState {
    public var area = InlineArray<64, UInt64>(repeating: 0)

    public init() {
        area[0] = 0x037F  // FCW after FNINIT; tag word "all empty" is 0 in FXSAVE's short form
        area[3] = 0x0000_FFFF_0000_1F80  // MXCSR and its mask
    }
}

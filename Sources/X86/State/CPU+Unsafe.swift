// SPDX-License-Identifier: Apache-2.0
//
// `CPU` is a handle to one `CPUState`: a single pointer, so that passing it costs a register and
// reading a field costs a load: no reference counting, no exclusivity checks in the run loop.

import GuestMemory
import Tap

/// What surrounds the processor: everything an instruction can reach that is neither a register
/// nor RAM. All addresses are physical, all values little-endian in the low bytes.
public protocol CPUEnvironment: AnyObject {
    /// A load from a physical address that is not RAM; `width` is 1, 2, 4 or 8 bytes.
    func mmioRead(_ address: UInt64, width: Int) -> UInt64
    func mmioWrite(_ address: UInt64, width: Int, value: UInt64)
    /// IN and OUT where the privilege rules allow them; `width` is 1, 2 or 4 bytes.
    func portRead(_ port: UInt16, width: Int) -> UInt32
    func portWrite(_ port: UInt16, width: Int, value: UInt32)
    /// The time-stamp counter, in ticks of the frequency that the guest was told.
    func timestampCounter() -> UInt64
    func cpuid(leaf: UInt32, subleaf: UInt32) -> CPUIDResult
    /// A model-specific register that the processor core itself does not keep, or nil for #GP(0).
    func readMSR(_ index: UInt32) -> UInt64?
    /// False for #GP(0).
    func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool
}

/// Handle to a virtual processor. `CPUStorage` owns what it points to.
@frozen
public struct CPU {
    @usableFromInline let state: UnsafeMutablePointer<CPUState>
    @usableFromInline let storage: Unmanaged<CPUStorage>

    @usableFromInline
    init(state: UnsafeMutablePointer<CPUState>, storage: Unmanaged<CPUStorage>) {
        self.state = state
        self.storage = storage
    }

    /// The owner, for slow paths.
    // SAFETY: the storage outlives every handle by contract of `CPUStorage.cpu`.
    @inlinable public var owner: CPUStorage { storage._withUnsafeGuaranteedRef { $0 } }
    public var memory: GuestMemory { owner.memory }
    public var environment: any CPUEnvironment { owner.environment }
}

/// Owns a processor's state and its translation tables. Keep it alive while handles are in use.
public final class CPUStorage {
    public let memory: GuestMemory
    public let tables: TranslationTables
    public let environment: any CPUEnvironment
    let state: UnsafeMutablePointer<CPUState>
    /// Records what happens at the edges of guest code; off until somebody wants to see.
    public let tap = TraceTap()
    /// Breakpoints and watchpoints of a debugger outside the guest.
    public let debugPoints = DebugPoints()
    /// Where stores go that must be undone; nil except in tests and in lockstep.
    @exclusivity(unchecked) public var rehearsal: Rehearsal?

    public init(memory: GuestMemory, environment: any CPUEnvironment) throws(GuestMemoryError) {
        self.memory = memory
        self.environment = environment
        tables = try TranslationTables(memory: memory)
        state = .allocate(capacity: 1)
        // SAFETY: freshly allocated for exactly one value.
        state.initialize(to: CPUState(tables: tables))
        // SAFETY: stored fields of a value that stays where it is for the life of this object, and of the tap.
        tap.connect(
            TraceContext(
                eip: withUnsafePointer(to: &state.pointee.eip) { $0 },
                ring: withUnsafePointer(to: &state.pointee.cpl) { $0 },
                cr3: withUnsafePointer(to: &state.pointee.cr3) { $0 },
                instructions: withUnsafePointer(to: &state.pointee.instructions) { $0 },
                wanted: withUnsafeMutablePointer(to: &state.pointee.traced) { $0 }))
        let cpu = CPU(state: state, storage: Unmanaged.passUnretained(self))
        cpu.resetFlat()
    }

    deinit {
        tap.disconnect()
        // SAFETY: initialised in `init`, released nowhere else; CPUState is trivial.
        state.deallocate()
    }

    /// The handle through which everything else works. Valid while this object lives.
    public var cpu: CPU { CPU(state: state, storage: Unmanaged.passUnretained(self)) }
}

// SAFETY of all accessors below: `state` points to the one CPUState that `CPUStorage` owns, and
// only the thread that runs the virtual CPU uses it. Register indices come from decoded
// instructions, which hold values below `GPR.slots` and 8; they are masked all the same.
extension CPU {
    @inlinable @inline(__always)
    public var eip: UInt32 {
        get { state.pointee.eip }
        nonmutating set { state.pointee.eip = newValue }
    }
    @inlinable @inline(__always)
    public var flagResult: UInt32 {
        get { state.pointee.flagResult }
        nonmutating set { state.pointee.flagResult = newValue }
    }
    @inlinable @inline(__always)
    public var flagAux: UInt32 {
        get { state.pointee.flagAux }
        nonmutating set { state.pointee.flagAux = newValue }
    }
    @inlinable @inline(__always)
    public var eflagsOther: UInt32 {
        get { state.pointee.eflagsOther }
        nonmutating set { state.pointee.eflagsOther = newValue }
    }
    @inlinable @inline(__always)
    public var attention: UInt32 {
        get { state.pointee.attention }
        nonmutating set { state.pointee.attention = newValue }
    }
    @inlinable @inline(__always)
    public var cpl: UInt8 { state.pointee.cpl }
    /// Whether events of one of these categories are to be recorded.
    @inlinable @inline(__always)
    public func traces(_ any: TraceCategory) -> Bool { state.pointee.traced & any.rawValue != 0 }
    @inlinable @inline(__always)
    public var mode: CodeMode { state.pointee.mode }
    @inlinable @inline(__always)
    public var instructions: UInt64 {
        get { state.pointee.instructions }
        nonmutating set { state.pointee.instructions = newValue }
    }

    // Registers are read and written as raw bytes: two typed pointers to the same bytes would allow the
    // optimiser to take a write to AX and a read of AL for unrelated.

    /// A 32-bit general register (index 0–7, or `GPR.zero` for reading).
    @inlinable @inline(__always)
    public subscript(r32 index: Int) -> UInt32 {
        get { raw.load(fromByteOffset: (index & 31) &<< 3, as: UInt32.self) }
        nonmutating set {
            raw.storeBytes(of: UInt64(newValue), toByteOffset: (index & 31) &<< 3, as: UInt64.self)
        }
    }
    /// A 16-bit general register (index 0–7); writing keeps the upper half.
    @inlinable @inline(__always)
    public subscript(r16 index: Int) -> UInt16 {
        get { raw.load(fromByteOffset: (index & 31) &<< 3, as: UInt16.self) }
        nonmutating set { raw.storeBytes(of: newValue, toByteOffset: (index & 31) &<< 3, as: UInt16.self) }
    }
    /// An 8-bit general register (0–3: AL, CL, DL, BL; 4–7: AH, CH, DH, BH).
    @inlinable @inline(__always)
    public subscript(r8 index: Int) -> UInt8 {
        get { raw.load(fromByteOffset: CPU.byteOffset(index), as: UInt8.self) }
        nonmutating set { raw.storeBytes(of: newValue, toByteOffset: CPU.byteOffset(index), as: UInt8.self) }
    }
    @inlinable @inline(__always)
    static func byteOffset(_ index: Int) -> Int { (index & 3) << 3 | (index >> 2) & 1 }

    @inlinable @inline(__always)
    var raw: UnsafeMutableRawPointer { UnsafeMutableRawPointer(state) }

    @inlinable
    public subscript(segment index: Int) -> SegmentRegister {
        get { state.pointee.segments[index & 7] }
        nonmutating set { state.pointee.segments[index & 7] = newValue }
    }
    /// Every other field, for code that is not hot.
    @inlinable @inline(__always)
    public var system: CPUState {
        @inline(__always) unsafeAddress { UnsafePointer(state) }
        @inline(__always) nonmutating unsafeMutableAddress { state }
    }

    /// Notes a taken branch for crash reports.
    @inlinable @inline(__always)
    public func recordBranch(to target: UInt32) {
        let cursor = state.pointee.branchCursor
        state.pointee.branches[Int(cursor & 15)] = target
        state.pointee.branchCursor = cursor &+ 1
    }

    /// Makes the tables of the current privilege level the ones that loads and stores use.
    public func selectTables() {
        let tables = owner.tables.current
        system.systemReadTable = tables.kernelRead
        system.systemWriteTable = tables.kernelWrite
        if state.pointee.cpl == 3 {
            state.pointee.readTable = tables.userRead
            state.pointee.writeTable = tables.userWrite
            state.pointee.executeTable = tables.userExecute
        } else {
            state.pointee.readTable = tables.kernelRead
            state.pointee.writeTable = tables.kernelWrite
            state.pointee.executeTable = tables.kernelExecute
        }
        // Every access takes the slow path, which looks at its alignment and at the debug registers.
        if checksAlignment || watchesData {
            state.pointee.readTable = owner.tables.empty
            state.pointee.writeTable = owner.tables.empty
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Segment registers: reading descriptors, the checks when a selector is loaded, and the checks
// when an operand is reached through one (Intel SDM volume 3, chapters 3 and 5).

extension CPU {
    /// Linear address of a descriptor, or a throw of `error` when the selector is outside its table.
    private func descriptorAddress(_ selector: UInt16, _ error: Fault) throws(Fault) -> UInt32 {
        let offset = UInt32(selector & 0xFFF8)
        if selector & 4 != 0 {
            let ldt = self[segment: SegmentIndex.ldtr]
            guard ldt.isPresent, offset + 7 <= ldt.limit else { throw error }
            return ldt.base &+ offset
        }
        guard offset + 7 <= system.gdtLimit else { throw error }
        return system.gdtBase &+ offset
    }

    /// Reads the descriptor of a selector; throws `error` when it is outside its table.
    public func readDescriptor(_ selector: UInt16, orThrow error: Fault) throws(Fault) -> Descriptor {
        if system.usesPrivateGDT && selector & 4 == 0 {
            guard selector >> 3 < 32 else { throw error }
            return Descriptor(system.privateGDT[Int(selector >> 3)])
        }
        return Descriptor(try loadSystem(try descriptorAddress(selector, error), as: UInt64.self))
    }

    /// Sets bits in a descriptor in its table (Accessed, Busy).
    func updateDescriptor(_ selector: UInt16, _ bits: UInt64) throws(Fault) {
        if system.usesPrivateGDT && selector & 4 == 0 {
            if selector >> 3 < 32 {
                system.privateGDT[Int(selector >> 3)] = bits
                descriptorChanged(Int(selector >> 3))
            }
            return
        }
        try storeSystem(try descriptorAddress(selector, .generalProtection(selector: selector)), bits)
    }

    /// Loads DS, ES, FS, GS or SS as MOV, POP and the far-pointer loads do.
    public func loadSegment(_ index: Int, _ selector: UInt16) throws(Fault) {
        if index == SegmentIndex.ss {
            try loadStackSegment(selector, privilege: cpl)
            return
        }
        guard selector & 0xFFFC != 0 else {
            self[segment: index] = SegmentRegister(selector: selector, attributes: 0, base: 0, limit: 0)
            segmentChanged(index)
            cacheSegment(index, selector)
            return
        }
        let error = Fault.generalProtection(selector: selector)
        let descriptor = try readDescriptor(selector, orThrow: error)
        guard descriptor.isReadable else { throw error }
        if !descriptor.isConforming {
            guard descriptor.dpl >= max(cpl, UInt8(selector & 3)) else { throw error }
        }
        guard descriptor.isPresent else { throw .notPresent(selector: selector) }
        try commitSegment(index, selector, descriptor)
        cacheSegment(index, selector)
    }

    /// Loads SS for code at `privilege`.
    func loadStackSegment(_ selector: UInt16, privilege: UInt8) throws(Fault) {
        let descriptor = try checkStackSegment(selector, privilege: privilege, wrong: Fault.generalProtection)
        try commitSegment(SegmentIndex.ss, selector, descriptor)
    }

    /// The checks of a new SS; `wrong` makes the fault for a bad selector (#GP or #TS).
    func checkStackSegment(
        _ selector: UInt16, privilege: UInt8, wrong: (UInt16) -> Fault
    ) throws(Fault) -> Descriptor {
        guard selector & 0xFFFC != 0 else { throw wrong(0) }
        let error = wrong(selector)
        let descriptor = try readDescriptor(selector, orThrow: error)
        guard selector & 3 == UInt16(privilege), descriptor.isWritableData, descriptor.dpl == privilege else {
            throw error
        }
        guard descriptor.isPresent else { throw .stack(UInt32(selector & 0xFFFC)) }
        return descriptor
    }

    /// Puts a checked descriptor into a segment register, marking it accessed.
    func commitSegment(_ index: Int, _ selector: UInt16, _ descriptor: Descriptor) throws(Fault) {
        if descriptor.bits & Descriptor.accessed == 0 {
            try updateDescriptor(selector, descriptor.bits | Descriptor.accessed)
        }
        var register = descriptor.register(selector: selector)
        register.attributes |= 1
        self[segment: index] = register
        segmentChanged(index)
    }

    /// Sets a segment register to given contents, for guest interfaces and resets.
    public func setSegment(_ index: Int, _ register: SegmentRegister) {
        self[segment: index] = register
        updateMode()
    }

    /// Sets the privilege level and the translation tables that go with it.
    public func setPrivilege(_ level: UInt8) {
        system.cpl = level
        system.segmentKey = 1 << 31 | UInt32(level) << 16
        selectTables()
    }

    /// After a load of segment register `index`: FS and GS are no part of the mode.
    @inline(__always)
    func segmentChanged(_ index: Int) {
        switch index {
        case SegmentIndex.fs:
            system.simpleSegments = system.simpleSegments & ~3 | self[segment: index].simpleAccess
        case SegmentIndex.gs:
            system.simpleSegments = system.simpleSegments & ~12 | self[segment: index].simpleAccess << 2
        default: updateMode()
        }
    }

    /// Recomputes what blocks may assume about the segments.
    public func updateMode() {
        var mode: CodeMode = []
        let code = self[segment: SegmentIndex.cs]
        let stack = self[segment: SegmentIndex.ss]
        if code.isBig { mode.insert(.code32) }
        if stack.isBig { mode.insert(.stack32) }
        if code.isFlat { mode.insert(.flatCode) }
        let data = self[segment: SegmentIndex.ds]
        let extra = self[segment: SegmentIndex.es]
        if data.isFlat && data.isWritable && extra.isFlat && extra.isWritable && stack.isFlat
            && stack.isWritable
        {
            mode.insert(.flatData)
        }
        system.mode = mode
        system.simpleSegments =
            self[segment: SegmentIndex.fs].simpleAccess | self[segment: SegmentIndex.gs].simpleAccess << 2
    }

    /// The linear address of `offset` in a segment after the checks for an access of `size` bytes.
    /// Throws #GP(0), or #SS(0) for SS.
    public func linear(
        _ segment: Int, _ offset: UInt32, size: UInt32, write: Bool
    ) throws(Fault) -> UInt32 {
        if segment >= SegmentIndex.flat { return offset }
        let register = self[segment: segment]
        let error = segment == SegmentIndex.ss ? Fault.stack() : Fault.generalProtection()
        guard register.isUsable else { throw error }
        guard write ? register.isWritable : register.isReadable else { throw .generalProtection() }
        let last = offset &+ (size &- 1)
        if register.isExpandDown {
            let top: UInt32 = register.isBig ? UInt32.max : 0xFFFF
            guard offset > register.limit, last >= offset, last <= top else { throw error }
        } else {
            guard last >= offset, last <= register.limit else { throw error }
        }
        return register.base &+ offset
    }

    /// The effective address (offset) of the memory operand.
    @inlinable @inline(__always)
    public func effectiveAddress(_ i: Instruction) -> UInt32 {
        let sum = self[r32: Int(i.base)] &+ (self[r32: Int(i.index)] << UInt32(i.scale)) &+ i.displacement
        return i.addressSize == 2 ? sum & 0xFFFF : sum
    }

    /// The linear address of the memory operand after the segment's checks.
    public func operandAddress(_ i: Instruction, size: UInt32, write: Bool) throws(Fault) -> UInt32 {
        try linear(Int(i.segment), effectiveAddress(i), size: size, write: write)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Loads and stores at linear addresses. The fast path is a table lookup and an addition; whatever
// is not that simple (first touch, page crossing, device memory, pages that hold code) goes to the
// slow path, which either completes or throws before anything has changed.

import GuestMemory

extension CPU {
    /// Loads a little-endian integer with the rights of the current privilege level.
    @inlinable @inline(__always)
    public func load<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ linear: UInt32, as type: T.Type = T.self
    ) throws(Fault) -> T {
        // SAFETY: the table has an entry for each of the 2^20 pages; a non-zero entry plus an
        // address inside its page is inside guest RAM, and the access does not leave the page.
        let entry = state.pointee.readTable[Int(linear >> 12)]
        if _fastPath(
            entry != 0 && (T.bitWidth == 8 || linear & 0xFFF <= 0x1000 - UInt32(MemoryLayout<T>.size)))
        {
            let host = UnsafeRawPointer(bitPattern: entry &+ UInt(linear)).unsafelyUnwrapped
            return host.loadUnaligned(as: T.self)
        }
        return T(truncatingIfNeeded: try loadOperand(linear, MemoryLayout<T>.size))
    }

    /// Stores a little-endian integer with the rights of the current privilege level.
    @inlinable @inline(__always)
    public func store<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ linear: UInt32, _ value: T
    ) throws(Fault) {
        // SAFETY: as in `load`; pages that hold code have no entry in the write table.
        let entry = state.pointee.writeTable[Int(linear >> 12)]
        if _fastPath(
            entry != 0 && (T.bitWidth == 8 || linear & 0xFFF <= 0x1000 - UInt32(MemoryLayout<T>.size)))
        {
            let host = UnsafeMutableRawPointer(bitPattern: entry &+ UInt(linear)).unsafelyUnwrapped
            host.storeBytes(of: value, as: T.self)
            return
        }
        try storeOperand(linear, MemoryLayout<T>.size, UInt64(truncatingIfNeeded: value))
    }

    /// A load with supervisor rights whatever the CPL: descriptor tables and the TSS.
    public func loadSystem<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ linear: UInt32, as type: T.Type = T.self
    ) throws(Fault) -> T {
        // SAFETY: as in `load`.
        let entry = state.pointee.systemReadTable[Int(linear >> 12)]
        if entry != 0 && linear & 0xFFF <= 0x1000 - UInt32(MemoryLayout<T>.size) {
            return UnsafeRawPointer(bitPattern: entry &+ UInt(linear)).unsafelyUnwrapped.loadUnaligned(
                as: T.self)
        }
        return T(truncatingIfNeeded: try loadSlow(linear, MemoryLayout<T>.size, user: false))
    }

    /// A store with supervisor rights whatever the CPL.
    public func storeSystem<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ linear: UInt32, _ value: T
    ) throws(Fault) {
        // SAFETY: as in `store`.
        let entry = state.pointee.systemWriteTable[Int(linear >> 12)]
        if entry != 0 && linear & 0xFFF <= 0x1000 - UInt32(MemoryLayout<T>.size) && owner.rehearsal == nil {
            UnsafeMutableRawPointer(bitPattern: entry &+ UInt(linear)).unsafelyUnwrapped
                .storeBytes(of: value, as: T.self)
            return
        }
        try storeSlow(linear, MemoryLayout<T>.size, UInt64(truncatingIfNeeded: value), user: false)
    }

    /// Makes sure that `[linear, linear + length)` can be written, so that the instruction may
    /// begin to change things. `length` is at most 4096 bytes.
    @inlinable @inline(__always)
    public func probeWrite(_ linear: UInt32, _ length: UInt32) throws(Fault) {
        // SAFETY: table index below 2^20.
        let entry = state.pointee.writeTable[Int(linear >> 12)]
        if _fastPath(entry != 0 && linear & 0xFFF <= 0x1000 - length) { return }
        try probeWriteSlow(linear, length)
    }

    @inline(never)
    public func probeWriteSlow(_ linear: UInt32, _ length: UInt32) throws(Fault) {
        try checkOperand(linear, Int(length))
        try checkWatchpoints(linear, Int(length), write: true)
        _ = try page(linear, .write, user: cpl == 3)
        let last = linear &+ (length &- 1)
        // A fault names the first byte that cannot be reached.
        if last >> 12 != linear >> 12 { _ = try page(last & ~0xFFF, .write, user: cpl == 3) }
    }

    /// Whether user code has asked for alignment checks and the kernel allows them.
    var checksAlignment: Bool {
        cpl == 3 && eflagsOther & EFLAGS.ac != 0 && system.cr0 & ControlBits.am != 0
    }

    /// What the tables cannot check of an operand of `width` bytes: #AC for an operand that is not at a multiple of its size (Intel SDM
    /// volume 3, table 6-7), before page faults as on the processors at hand; and operands that run over the
    /// end of the address space, which `linear` refuses but code that takes segments for flat does not see.
    public func checkOperand(_ linear: UInt32, _ width: Int) throws(Fault) {
        if linear &+ UInt32(width - 1) < linear && mode.contains(.flatData) && !system.wrapsAround {
            throw .beyondAddressSpace
        }
        guard checksAlignment, width == 2 || width == 4 || width == 8, linear & UInt32(width - 1) != 0
        else { return }
        throw Fault(vector: Vector.alignmentCheck)
    }

    /// The slow path of `load`.
    @inline(never)
    public func loadOperand(_ linear: UInt32, _ width: Int) throws(Fault) -> UInt64 {
        try checkOperand(linear, width)
        try checkWatchpoints(linear, width, write: false)
        let value = try loadSlow(linear, width, user: cpl == 3)
        if hasBreakpoints { noteAccess(linear, width, write: false) }
        return value
    }

    /// The slow path of `store`.
    @inline(never)
    public func storeOperand(_ linear: UInt32, _ width: Int, _ value: UInt64) throws(Fault) {
        try checkOperand(linear, width)
        try checkWatchpoints(linear, width, write: true)
        try storeSlow(linear, width, value, user: cpl == 3)
        if hasBreakpoints { noteAccess(linear, width, write: true) }
    }

    @inline(never)
    public func loadSlow(_ linear: UInt32, _ width: Int, user: Bool) throws(Fault) -> UInt64 {
        let room = 0x1000 - Int(linear & 0xFFF)
        if width <= room {
            return readPhysical(try page(linear, .read, user: user) | UInt64(linear & 0xFFF), width)
        }
        let next = (linear & ~0xFFF) &+ 0x1000
        let low = try page(linear, .read, user: user) | UInt64(linear & 0xFFF)
        let high = try page(next, .read, user: user)
        var value: UInt64 = 0
        for i in 0..<width {
            let address = i < room ? low + UInt64(i) : high + UInt64(i - room)
            value |= readPhysical(address, 1) << UInt64(8 * i)
        }
        return value
    }

    @inline(never)
    public func storeSlow(_ linear: UInt32, _ width: Int, _ value: UInt64, user: Bool) throws(Fault) {
        let room = 0x1000 - Int(linear & 0xFFF)
        if width <= room {
            let physical = try page(linear, .write, user: user) | UInt64(linear & 0xFFF)
            writePhysical(physical, width, value)
            return
        }
        let next = (linear & ~0xFFF) &+ 0x1000
        let low = try page(linear, .write, user: user) | UInt64(linear & 0xFFF)
        let high = try page(next, .write, user: user)
        for i in 0..<width {
            let address = i < room ? low + UInt64(i) : high + UInt64(i - room)
            writePhysical(address, 1, value >> UInt64(8 * i))
        }
    }

    /// Translates the page of `linear` and fills the flat tables; returns its physical address.
    public func page(_ linear: UInt32, _ access: AccessKind, user: Bool) throws(Fault) -> UInt64 {
        system.pageWalks &+= 1
        let translation = try translate(linear, access, user: user)
        let memory = memory
        if memory.contains(translation.frame, length: 4096) {
            // SAFETY: the whole frame is inside RAM; the frame number is below `pageCount`.
            let frame = Int(translation.frame >> 12)
            let holdsCode = memory.codePages[frame] != 0
            let writable = translation.writable && !holdsCode
            // A page whose user and supervisor rights to write differ (WP clear) is filled for the
            // privilege that asked only; Linux always sets WP, so this is rare.
            let sameRights = translation.userWritable == (translation.user && translation.writable)
            if sameRights {
                if system.hasDebugPoints {
                    fillGuarded(linear >> 12, translation, writable: writable, access)
                    return translation.frame
                }
                owner.tables.fill(
                    page: linear >> 12, host: UInt(bitPattern: memory.base + Int(translation.frame)),
                    user: translation.user, write: writable, execute: access == .execute,
                    global: translation.isGlobal, path: translation.path)
            }
        }
        return translation.frame
    }

    /// The same with a debugger's points about: nothing is filled that would lead past one.
    @inline(never)
    private func fillGuarded(
        _ page: UInt32, _ translation: Translation, writable: Bool, _ access: AccessKind
    ) {
        let guarded = debugPoints.guardedAccesses(page: page)
        if guarded.contains(.reads) { return }
        owner.tables.fill(
            page: page, host: UInt(bitPattern: memory.base + Int(translation.frame)), user: translation.user,
            write: writable && !guarded.contains(.writes),
            execute: access == .execute && !debugPoints.guardsCode(page: page), global: translation.isGlobal,
            path: translation.path)
    }

    /// Reads 1, 2, 4 or 8 bytes that lie within one page.
    public func readPhysical(_ address: UInt64, _ width: Int) -> UInt64 {
        let memory = memory
        guard memory.contains(address, length: UInt64(width)) else {
            if let rehearsal = owner.rehearsal { return rehearsal.reachedDevice() }
            return environment.mmioRead(address, width: width)
        }
        // SAFETY: the range was checked just above.
        let host = memory.base + Int(address)
        switch width {
        case 1: return UInt64(host.load(as: UInt8.self))
        case 2: return UInt64(host.loadUnaligned(as: UInt16.self))
        case 4: return UInt64(host.loadUnaligned(as: UInt32.self))
        default: return host.loadUnaligned(as: UInt64.self)
        }
    }

    /// Writes 1, 2, 4 or 8 bytes that lie within one page, telling the code cache.
    public func writePhysical(_ address: UInt64, _ width: Int, _ value: UInt64) {
        let memory = memory
        guard memory.contains(address, length: UInt64(width)) else {
            if let rehearsal = owner.rehearsal {
                _ = rehearsal.reachedDevice()
                return
            }
            environment.mmioWrite(address, width: width, value: value)
            return
        }
        if let rehearsal = owner.rehearsal {
            rehearsal.write(memory, address, width, value)
            return
        }
        memory.announceWrite(address: address, length: UInt64(width))
        // SAFETY: the range was checked just above.
        let host = memory.base + Int(address)
        switch width {
        case 1: host.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        case 2: host.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
        case 4: host.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
        default: host.storeBytes(of: value, as: UInt64.self)
        }
    }

    /// Host address of the byte at `linear` if it has been fetched from at this privilege before, or 0.
    @inlinable @inline(__always)
    public func executeEntry(_ linear: UInt32) -> UInt {
        // SAFETY: the table has an entry for each of the 2^20 pages.
        let entry = state.pointee.executeTable[Int(linear >> 12)]
        return entry == 0 ? 0 : entry &+ UInt(linear)
    }

    /// Host address of the instruction bytes at `linear`, or nil when they are not in RAM, or are to be carried
    /// out one by one because a debugger has a breakpoint in their page. Throws the #PF of an instruction
    /// fetch, and `.debuggerStop` at a breakpoint.
    public func codeAddress(_ linear: UInt32) throws(Fault) -> UInt? {
        if system.hasDebugPoints {
            try checkBreakpoint(linear)
            if debugPoints.guardsCode(page: linear >> 12) { return nil }
        }
        return try codeBytesAddress(linear)
    }

    /// The same whether or not there are breakpoints.
    private func codeBytesAddress(_ linear: UInt32) throws(Fault) -> UInt? {
        let frame = try page(linear, .execute, user: cpl == 3)
        guard memory.contains(frame, length: 4096) else { return nil }
        return UInt(bitPattern: memory.base + Int(frame)) + UInt(linear & 0xFFF)
    }

    /// The `count` (1–15) instruction bytes at `linear`, low byte first, padded with zeros; nil when they are
    /// not in RAM. Throws the fault of fetching them.
    public func codeBytes(_ linear: UInt32, count: UInt8) throws(Fault) -> (low: UInt64, high: UInt64)? {
        if system.hasDebugPoints { try checkBreakpoint(linear) }
        var low: UInt64 = 0
        var high: UInt64 = 0
        var host: UInt = 0
        for n in 0..<UInt32(count) {
            let address = linear &+ n
            if host == 0 || address & 0xFFF == 0 {
                host = executeEntry(address)
                if host == 0 {
                    guard let found = try codeBytesAddress(address) else { return nil }
                    host = found
                }
            }
            // SAFETY: `host` is inside a page of guest RAM that holds `address`.
            let byte = UInt64(UnsafePointer<UInt8>(bitPattern: host).unsafelyUnwrapped.pointee)
            if n < 8 { low |= byte << UInt64(8 * n) } else { high |= byte << UInt64(8 * (n - 8)) }
            host += 1
        }
        return (low, high)
    }

    /// Marks the frame of a host address as holding code: stores to it take the slow path from now on.
    public func protectCode(host: UInt) {
        let offset = host &- UInt(bitPattern: memory.base)
        // SAFETY: callers pass addresses that `codeAddress` returned.
        if memory.codePages[Int(offset >> 12)] == 0 {
            memory.codePages[Int(offset >> 12)] = 1
            owner.tables.revokeWrites(host: host & ~0xFFF)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// String instructions. Repeated moves and fills inside a page are done in one go on host memory;
// everything else goes element by element. A long repeat gives control back now and then, with the
// registers showing what is done, exactly as an interrupt would find them.

extension CPU {
    /// Elements after which a repeated instruction lets the run loop look around.
    public static let stringBurst: UInt32 = 1 << 14

    /// Returns false when elements are left to do.
    func executeString(_ i: Instruction) throws(Fault) -> Bool {
        // The element's size is that of the string operand; the other one may be a register.
        let isString = i.source.kind == .stringSource || i.source.kind == .stringDestination
        return try stringLoop(i, isString ? i.source.size : i.destination.size)
    }

    private func stringLoop(_ i: Instruction, _ size: UInt8) throws(Fault) -> Bool {
        switch size {
        case 1: try stringLoop(i, as: UInt8.self)
        case 2: try stringLoop(i, as: UInt16.self)
        default: try stringLoop(i, as: UInt32.self)
        }
    }

    private func counter(_ i: Instruction) -> UInt32 {
        i.addressSize == 2 ? UInt32(self[r16: GPR.ecx]) : self[r32: GPR.ecx]
    }

    private func setPointer(_ index: Int, _ value: UInt32, _ i: Instruction) {
        if i.addressSize == 2 {
            self[r16: index] = UInt16(truncatingIfNeeded: value)
        } else {
            self[r32: index] = value
        }
    }

    private func pointer(_ index: Int, _ i: Instruction) -> UInt32 {
        i.addressSize == 2 ? UInt32(self[r16: index]) : self[r32: index]
    }

    private func stringLoop<T: Word>(_ i: Instruction, as type: T.Type) throws(Fault) -> Bool {
        let repeats = !i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual])
        if i.operation == .ins || i.operation == .outs {
            try checkPortPermission(self[r16: GPR.edx], width: MemoryLayout<T>.size)
        }
        guard repeats else {
            try stringElement(i, as: type)
            return true
        }
        // Single-stepping, a trap follows each element; so does that of a data breakpoint.
        let goesOneByOne = eflagsOther & EFLAGS.tf != 0 || hasBreakpoints || system.isStepped
        var budget = goesOneByOne ? 1 : CPU.stringBurst
        while counter(i) != 0 {
            if budget == 0 { return false }
            let done = bulk(i, as: type, limit: budget)
            if done > 0 {
                budget -= done
                setPointer(GPR.ecx, counter(i) &- done, i)
                continue
            }
            try stringElement(i, as: type)
            budget -= 1
            setPointer(GPR.ecx, counter(i) &- 1, i)
            if i.operation == .cmps || i.operation == .scas {
                if zero != i.prefixes.contains(.repeatEqual) { return true }
            }
        }
        return true
    }

    private func stringElement<T: Word>(_ i: Instruction, as type: T.Type) throws(Fault) {
        let size = UInt32(MemoryLayout<T>.size)
        let step = eflagsOther & EFLAGS.df == 0 ? size : 0 &- size
        let from = pointer(GPR.esi, i)
        let to = pointer(GPR.edi, i)
        let es = SegmentIndex.es
        switch i.operation {
        case .movs:
            let value: T = try load(try linear(Int(i.segment), from, size: size, write: false))
            try store(try linear(es, to, size: size, write: true), value)
        case .stos: try store(try linear(es, to, size: size, write: true), readRegister(GPR.eax) as T)
        case .lods:
            let value: T = try load(try linear(Int(i.segment), from, size: size, write: false))
            writeRegister(GPR.eax, value)
        case .scas:
            let value: T = try load(try linear(es, to, size: size, write: false))
            _ = subtract(readRegister(GPR.eax), value)
        case .cmps:
            let a: T = try load(try linear(Int(i.segment), from, size: size, write: false))
            let b: T = try load(try linear(es, to, size: size, write: false))
            _ = subtract(a, b)
        case .ins:
            let address = try linear(es, to, size: size, write: true)
            try probeWrite(address, size)
            try store(
                address, T(truncatingIfNeeded: environment.portRead(self[r16: GPR.edx], width: Int(size))))
        default:
            let value: T = try load(try linear(Int(i.segment), from, size: size, write: false))
            environment.portWrite(
                self[r16: GPR.edx], width: Int(size), value: UInt32(truncatingIfNeeded: value))
        }
        if i.operation.usesSource { setPointer(GPR.esi, from &+ step, i) }
        if i.operation.usesDestination { setPointer(GPR.edi, to &+ step, i) }
    }

    /// Moves or fills as many elements as lie within one page of each side and need no checks;
    /// returns how many, 0 when the element-wise way has to be taken.
    private func bulk<T: Word>(_ i: Instruction, as type: T.Type, limit: UInt32) -> UInt32 {
        guard i.operation == .movs || i.operation == .stos, i.addressSize == 4, eflagsOther & EFLAGS.df == 0,
            mode.contains(.flatData), i.segment != UInt8(SegmentIndex.fs),
            i.segment != UInt8(SegmentIndex.gs),
            i.segment != UInt8(SegmentIndex.cs)
        else { return 0 }
        let size = UInt32(MemoryLayout<T>.size)
        let to = self[r32: GPR.edi]
        var count = min(min(self[r32: GPR.ecx], limit), (0x1000 - to & 0xFFF) / size)
        // SAFETY: table indices are below 2^20; a non-zero entry plus an address in its page is
        // guest RAM, and `count` elements stay inside both pages.
        let target = state.pointee.writeTable[Int(to >> 12)]
        guard target != 0, count > 0 else { return 0 }
        let destination = UnsafeMutableRawPointer(bitPattern: target &+ UInt(to)).unsafelyUnwrapped
        if i.operation == .stos {
            let value: T = readRegister(GPR.eax)
            for n in 0..<Int(count) {
                destination.storeBytes(of: value, toByteOffset: n &* Int(size), as: T.self)
            }
        } else {
            let from = self[r32: GPR.esi]
            count = min(count, (0x1000 - from & 0xFFF) / size)
            let origin = state.pointee.readTable[Int(from >> 12)]
            guard origin != 0, count > 0 else { return 0 }
            let source = UnsafeRawPointer(bitPattern: origin &+ UInt(from)).unsafelyUnwrapped
            let bytes = Int(count &* size)
            if UnsafeRawPointer(destination) <= source || UnsafeRawPointer(destination) >= source + bytes {
                destination.copyMemory(from: source, byteCount: bytes)
            } else {
                // Overlapping upwards: each element is read after the earlier ones were written.
                for n in 0..<Int(count) {
                    let value = source.loadUnaligned(fromByteOffset: n &* Int(size), as: T.self)
                    destination.storeBytes(of: value, toByteOffset: n &* Int(size), as: T.self)
                }
            }
            self[r32: GPR.esi] = from &+ count &* size
        }
        self[r32: GPR.edi] = to &+ count &* size
        return count
    }
}

extension Operation {
    var usesSource: Bool {
        switch self {
        case .movs, .cmps, .lods, .outs: true
        default: false
        }
    }
    var usesDestination: Bool {
        switch self {
        case .movs, .cmps, .stos, .scas, .ins: true
        default: false
        }
    }
}

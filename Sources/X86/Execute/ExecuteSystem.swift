// SPDX-License-Identifier: Apache-2.0
//
// System instructions with the architecture's privilege rules. A paravirtual guest kernel runs
// where most of them raise #GP(0); what happens then is the guest interface's business.

extension CPU {
    func executeSystem(_ i: Instruction) throws(Fault) {
        switch i.operation {
        case .cli:
            try checkIOPL()
            eflagsOther &= ~EFLAGS.interrupt
        case .sti:
            try checkIOPL()
            if eflagsOther & EFLAGS.interrupt == 0 { system.interruptShadow = true }
            eflagsOther |= EFLAGS.interrupt
            if system.interruptWaits { attention |= Attention.interrupt }
        case .in, .out: try portAccess(i)
        case .cpuid: executeCPUID()
        case .rdtsc:
            if system.cr4 & ControlBits.tsd != 0 { try requireRing0() }
            setPair(environment.timestampCounter())
        case .rdpmc: throw .generalProtection()
        case .sgdt: try storeTable(i, system.gdtBase, system.gdtLimit)
        case .sidt: try storeTable(i, system.idtBase, system.idtLimit)
        case .sldt: try storeSelector(i, self[segment: SegmentIndex.ldtr].selector)
        case .str: try storeSelector(i, self[segment: SegmentIndex.tr].selector)
        case .smsw:
            if i.destination.size == 4 {
                self[r32: Int(i.destination.index)] = system.cr0
            } else {
                try write(i.destination, i, UInt16(truncatingIfNeeded: system.cr0))
            }
        case .lar, .lsl, .verr, .verw: try inspectDescriptor(i)
        case .arpl: try adjustRPL(i)
        case .sysenter: try systemEnter()
        case .sysexit: try systemExit()
        default:
            try requireRing0()
            try executePrivileged(i)
        }
    }

    private func executePrivileged(_ i: Instruction) throws(Fault) {
        switch i.operation {
        case .lgdt, .lidt:
            let address = try operandAddress(i, size: 6, write: false)
            let limit: UInt16 = try load(address)
            var base: UInt32 = try load(address &+ 2)
            if i.operandSize == 2 { base &= 0xFF_FFFF }
            if i.operation == .lgdt {
                system.gdtBase = base
                system.gdtLimit = UInt32(limit)
                forgetSegments()
            } else {
                system.idtBase = base
                system.idtLimit = UInt32(limit)
            }
        case .lldt: try loadLDT(try read(i.destination, i))
        case .ltr: try loadTaskRegister(try read(i.destination, i))
        case .lmsw:
            let value: UInt16 = try read(i.destination, i)
            // LMSW sets PE, MP, EM, TS; it cannot clear PE.
            let bits = UInt32(value & 15) | system.cr0 & ControlBits.pe
            try setCR0(system.cr0 & ~15 | bits)
        case .clts: system.cr0 &= ~ControlBits.ts
        case .invlpg:
            let address = try operandAddressUnchecked(i)
            traceInvalidation(address)
            owner.tables.flush(page: address >> 12)
        case .movFromControl:
            let value = controlRegister(Int(i.source.index))
            traceControl(.controlRead, Int(i.source.index), value)
            self[r32: Int(i.destination.index)] = value
        case .movToControl:
            let value = self[r32: Int(i.source.index)]
            traceControl(.controlWrite, Int(i.destination.index), value)
            try setControlRegister(Int(i.destination.index), value)
        case .movFromDebug: self[r32: Int(i.destination.index)] = try debugRegister(i.source.index)
        case .movToDebug: try setDebugRegister(i.destination.index, self[r32: Int(i.source.index)])
        case .wbinvd, .invd: break
        case .rdmsr:
            guard let value = readModelSpecific(self[r32: GPR.ecx]) else { throw .generalProtection() }
            traceModelSpecific(.msrRead, value)
            setPair(value)
        case .wrmsr:
            let value = UInt64(self[r32: GPR.edx]) << 32 | UInt64(self[r32: GPR.eax])
            traceModelSpecific(.msrWrite, value)
            guard writeModelSpecific(self[r32: GPR.ecx], value) else { throw .generalProtection() }
        default: throw .invalidOpcode
        }
    }

    func requireRing0() throws(Fault) {
        if cpl != 0 { throw .generalProtection() }
    }

    private func checkIOPL() throws(Fault) {
        if UInt32(cpl) > eflagsOther >> 12 & 3 { throw .generalProtection() }
    }

    private func setPair(_ value: UInt64) {
        self[r32: GPR.eax] = UInt32(truncatingIfNeeded: value)
        self[r32: GPR.edx] = UInt32(truncatingIfNeeded: value >> 32)
    }

    private func executeCPUID() {
        let result = environment.cpuid(leaf: self[r32: GPR.eax], subleaf: self[r32: GPR.ecx])
        self[r32: GPR.eax] = result.eax
        self[r32: GPR.ebx] = result.ebx
        self[r32: GPR.ecx] = result.ecx
        self[r32: GPR.edx] = result.edx
    }

    // Ports

    private func portAccess(_ i: Instruction) throws(Fault) {
        let isIn = i.operation == .in
        let data = isIn ? i.destination : i.source
        let selector = isIn ? i.source : i.destination
        let port = selector.kind == .immediate ? UInt16(i.immediate & 0xFF) : self[r16: GPR.edx]
        let width = Int(data.size)
        try checkPortPermission(port, width: width)
        if isIn {
            let value = environment.portRead(port, width: width)
            switch width {
            case 1: self[r8: GPR.eax] = UInt8(truncatingIfNeeded: value)
            case 2: self[r16: GPR.eax] = UInt16(truncatingIfNeeded: value)
            default: self[r32: GPR.eax] = value
            }
        } else {
            let value = width == 4 ? self[r32: GPR.eax] : self[r32: GPR.eax] & (1 << UInt32(8 * width) - 1)
            environment.portWrite(port, width: width, value: value)
        }
    }

    /// IOPL, then the I/O permission bitmap of a 32-bit TSS (Intel SDM volume 1, 19.5.2).
    func checkPortPermission(_ port: UInt16, width: Int) throws(Fault) {
        if UInt32(cpl) <= eflagsOther >> 12 & 3 { return }
        let task = self[segment: SegmentIndex.tr]
        guard task.isPresent, task.attributes & 15 == 11 || task.attributes & 15 == 9, task.limit >= 103
        else {
            throw .generalProtection()
        }
        let map: UInt16 = try loadSystem(task.base &+ 102)
        let byte = UInt32(map) + UInt32(port >> 3)
        guard byte + 1 <= task.limit else { throw .generalProtection() }
        let bits: UInt16 = try loadSystem(task.base &+ byte)
        let mask = UInt16(1 << width - 1) << (port & 7)
        guard bits & mask == 0 else { throw .generalProtection() }
    }

    // Descriptor tables and inspection

    private func storeTable(_ i: Instruction, _ base: UInt32, _ limit: UInt32) throws(Fault) {
        let address = try operandAddress(i, size: 6, write: true)
        try probeWrite(address, 6)
        try store(address, UInt16(truncatingIfNeeded: limit))
        try store(address &+ 2, base)
    }

    private func storeSelector(_ i: Instruction, _ selector: UInt16) throws(Fault) {
        if i.destination.size == 4 {
            self[r32: Int(i.destination.index)] = UInt32(selector)
        } else {
            try write(i.destination, i, selector)
        }
    }

    private func operandAddressUnchecked(_ i: Instruction) throws(Fault) -> UInt32 {
        self[segment: Int(i.segment)].base &+ effectiveAddress(i)
    }

    /// ARPL writes its operand only when there is something to change.
    private func adjustRPL(_ i: Instruction) throws(Fault) {
        let source: UInt16 = try read(i.source, i)
        let old: UInt16 = try read(i.destination, i)
        let changes = old & 3 < source & 3
        if changes { try write(i.destination, i, old & ~3 | source & 3) }
        setArithmeticFlags(eflags & ~EFLAGS.zf | (changes ? EFLAGS.zf : 0))
    }

    private func inspectDescriptor(_ i: Instruction) throws(Fault) {
        let operand = i.operation == .lar || i.operation == .lsl ? i.source : i.destination
        let selector: UInt16 = try read(operand, i)
        var found: UInt32?
        if selector & 0xFFFC != 0 {
            let marker = Fault(vector: 255)
            do {
                found = inspect(i.operation, selector, try readDescriptor(selector, orThrow: marker))
            } catch {
                if error != marker { throw error }
            }
        }
        if let found, i.operation == .lar || i.operation == .lsl {
            if i.operandSize == 2 {
                self[r16: Int(i.destination.index)] = UInt16(truncatingIfNeeded: found)
            } else {
                self[r32: Int(i.destination.index)] = found
            }
        }
        setArithmeticFlags(eflags & ~EFLAGS.zf | (found != nil ? EFLAGS.zf : 0))
    }

    private func inspect(_ operation: Operation, _ selector: UInt16, _ d: Descriptor) -> UInt32? {
        let rights = max(cpl, UInt8(selector & 3))
        let accessible = d.isConforming || d.dpl >= rights
        switch operation {
        case .verr: return accessible && d.isSegment && d.isReadable ? 0 : nil
        case .verw: return d.dpl >= rights && d.isWritableData ? 0 : nil
        case .lsl:
            let types: [UInt8] = [1, 2, 3, 9, 11]
            return accessible && (d.isSegment || types.contains(d.type)) ? d.limit : nil
        default:
            let types: [UInt8] = [1, 2, 3, 4, 5, 9, 11, 12]
            guard accessible && (d.isSegment || types.contains(d.type)) else { return nil }
            return UInt32(truncatingIfNeeded: d.bits >> 32) & 0x00FF_FF00
        }
    }
}

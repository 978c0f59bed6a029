// SPDX-License-Identifier: Apache-2.0
//
// Control registers, model-specific registers and CPUID's result type.

/// What CPUID leaves in EAX, EBX, ECX and EDX.
public struct CPUIDResult: Equatable, Sendable {
    public var eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32

    public init(eax: UInt32 = 0, ebx: UInt32 = 0, ecx: UInt32 = 0, edx: UInt32 = 0) {
        self.eax = eax
        self.ebx = ebx
        self.ecx = ecx
        self.edx = edx
    }

    /// `text`, padded with zero bytes, as `count` little-endian words: how CPUID gives names.
    public static func words(_ text: String, _ count: Int) -> [UInt32] {
        var bytes = Array(text.utf8.prefix(count * 4))
        bytes += [UInt8](repeating: 0, count: count * 4 - bytes.count)
        return (0..<count).map { n in
            (0..<4).reduce(0) { $0 | UInt32(bytes[n * 4 + $1]) << UInt32(8 * $1) }
        }
    }
}

/// Model-specific registers that the core keeps (Intel SDM volume 4).
public enum MSR {
    public static let tsc: UInt32 = 0x10
    public static let sysenterCS: UInt32 = 0x174
    public static let sysenterESP: UInt32 = 0x175
    public static let sysenterEIP: UInt32 = 0x176
    public static let efer: UInt32 = 0xC000_0080
}

extension CPU {
    func controlRegister(_ index: Int) -> UInt32 {
        switch index {
        case 0: system.cr0
        case 2: system.cr2
        case 3: system.cr3
        default: system.cr4
        }
    }

    func setControlRegister(_ index: Int, _ value: UInt32) throws(Fault) {
        switch index {
        case 0: try setCR0(value)
        case 2: system.cr2 = value
        case 3: try setCR3(value)
        default: try setCR4(value)
        }
    }

    /// CR0 with its checks: PG needs PE, NW needs CD (Intel SDM volume 3, 2.5). There is no real-address
    /// mode to go back to: clearing PE is refused with #GP(0).
    public func setCR0(_ value: UInt32) throws(Fault) {
        if value & ControlBits.pe == 0 { throw .generalProtection() }
        if value & (1 << 29) != 0 && value & (1 << 30) == 0 { throw .generalProtection() }
        let turnsOn = value & ControlBits.pg != 0 && system.cr0 & ControlBits.pg == 0
        if turnsOn && system.cr4 & ControlBits.pae != 0 { try loadPDPTEs(system.cr3) }
        let changed = system.cr0 ^ value
        system.cr0 = value & ControlBits.cr0 | ControlBits.et
        if changed & (ControlBits.pg | ControlBits.wp) != 0 { owner.tables.flushAll() }
        selectTables()
    }

    /// CR3; with PAE paging on, the four top entries are loaded and checked.
    public func setCR3(_ value: UInt32) throws(Fault) {
        if system.cr0 & ControlBits.pg != 0 && system.cr4 & ControlBits.pae != 0
            && !system.walksTopLevelInMemory
        {
            try loadPDPTEs(value)
        }
        let isTheSame = value == system.cr3
        system.cr3 = value
        // Global pages, those of a kernel, stay (Intel SDM volume 3, 4.10.4.1).
        if system.cr4 & ControlBits.pge != 0 {
            // Kernels load what is there to flush.
            if isTheSame { flushChangedPrivateTranslations() } else { owner.tables.flushPrivate() }
        } else {
            owner.tables.flushAll()
        }
    }

    /// CR4 with its checks.
    public func setCR4(_ value: UInt32) throws(Fault) {
        // VME and PVI belong to virtual-8086 mode, which CPUID does not announce.
        let known =
            ControlBits.tsd | ControlBits.de | ControlBits.pse | ControlBits.pae | ControlBits.mce
            | ControlBits.pge | ControlBits.pce | ControlBits.osfxsr | ControlBits.osxmmexcpt
        guard value & ~known == 0 else { throw .generalProtection() }
        let turnsOn = value & ControlBits.pae != 0 && system.cr4 & ControlBits.pae == 0
        if turnsOn && system.cr0 & ControlBits.pg != 0 { try loadPDPTEs(system.cr3) }
        let changed = system.cr4 ^ value
        system.cr4 = value
        if changed & (ControlBits.pse | ControlBits.pae) != 0 {
            owner.tables.flushAll()
        } else if changed & ControlBits.pge != 0 {
            flushChangedTranslations()
        }
    }

    private func loadPDPTEs(_ cr3: UInt32) throws(Fault) {
        var entries = InlineArray<4, UInt64>(repeating: 0)
        for n in 0..<4 {
            entries[n] = readPhysical64(UInt64(cr3 & ~31) + UInt64(n) * 8)
            // Bits 1, 2 and 5–8 and those above the physical width are reserved.
            if entries[n] & 1 != 0 && entries[n] & 0xFFFF_FFF0_0000_01E6 != 0 { throw .generalProtection() }
        }
        system.pdpte = entries
    }

    func readModelSpecific(_ index: UInt32) -> UInt64? {
        switch index {
        case MSR.tsc: environment.timestampCounter()
        case MSR.sysenterCS: UInt64(system.sysenterCS)
        case MSR.sysenterESP: UInt64(system.sysenterESP)
        case MSR.sysenterEIP: UInt64(system.sysenterEIP)
        case MSR.efer: system.efer
        default: environment.readMSR(index)
        }
    }

    func writeModelSpecific(_ index: UInt32, _ value: UInt64) -> Bool {
        switch index {
        case MSR.sysenterCS: system.sysenterCS = UInt32(truncatingIfNeeded: value)
        case MSR.sysenterESP: system.sysenterESP = UInt32(truncatingIfNeeded: value)
        case MSR.sysenterEIP: system.sysenterEIP = UInt32(truncatingIfNeeded: value)
        case MSR.efer:
            guard value & ~ControlBits.eferNXE == 0 else { return false }
            system.efer = value
            owner.tables.flushAll()
        default: return environment.writeMSR(index, value)
        }
        return true
    }
}

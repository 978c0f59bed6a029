// SPDX-License-Identifier: Apache-2.0
//
// The debug registers: their access rules, instruction breakpoints, and data breakpoints (Intel SDM volume 3, 17.2).
// While a breakpoint is enabled the engine goes instruction by instruction, and accesses take the slow path.

/// Bits of DR6 and DR7.
public enum DebugBits {
    /// DR6: a debug register was touched with DR7.GD set; single step; task switch.
    public static let accessDetected: UInt32 = 1 << 13
    public static let singleStep: UInt32 = 1 << 14
    /// DR7: general detect.
    public static let generalDetect: UInt32 = 1 << 13
    /// Bits of DR6 and DR7 that always read as one.
    static let fixed6: UInt32 = 0xFFFF_0FF0
    static let fixed7: UInt32 = 0x400
    static let writable6: UInt32 = 0xE00F
    static let writable7: UInt32 = 0xFFFF_23FF
}

extension CPU {
    /// DR4 and DR5 are other names of DR6 and DR7 while CR4.DE is clear, and #UD while it is set.
    private func debugIndex(_ index: UInt8) throws(Fault) -> Int {
        guard index == 4 || index == 5 else { return Int(index & 7) }
        if system.cr4 & ControlBits.de != 0 { throw .invalidOpcode }
        return Int(index) + 2
    }

    private func checkDebugAccess() throws(Fault) {
        guard system.dr[7] & DebugBits.generalDetect != 0 else { return }
        system.dr[7] &= ~DebugBits.generalDetect
        system.dr[6] |= DebugBits.accessDetected
        throw Fault(vector: Vector.debug)
    }

    func debugRegister(_ index: UInt8) throws(Fault) -> UInt32 {
        let index = try debugIndex(index)
        try checkDebugAccess()
        return system.dr[index]
    }

    func setDebugRegister(_ index: UInt8, _ value: UInt32) throws(Fault) {
        let index = try debugIndex(index)
        try checkDebugAccess()
        switch index {
        case 6: system.dr[6] = value & DebugBits.writable6 | DebugBits.fixed6
        case 7:
            system.dr[7] = value & DebugBits.writable7 | DebugBits.fixed7
            // What RF has held off so far is over.
            eflagsOther &= ~EFLAGS.rf
            if hasBreakpoints { attention |= Attention.breakpoints }
            selectTables()
        default: system.dr[index] = value
        }
    }

    /// Whether any of the four breakpoints is enabled.
    public var hasBreakpoints: Bool { system.dr[7] & 0xFF != 0 }

    /// Whether one of them watches data.
    var watchesData: Bool {
        (0..<4).contains { isEnabled($0) && kind($0) & 1 != 0 }
    }

    private func isEnabled(_ n: Int) -> Bool { system.dr[7] >> UInt32(2 * n) & 3 != 0 }
    /// R/W field: 0 execution, 1 writes, 2 I/O (not offered), 3 reads and writes.
    private func kind(_ n: Int) -> UInt32 { system.dr[7] >> UInt32(16 + 4 * n) & 3 }

    /// Notes in DR6 the instruction breakpoints at EIP. False when there are none, or RF holds them off.
    public func hitsInstructionBreakpoint() -> Bool {
        if eflagsOther & EFLAGS.rf != 0 { return false }
        let linear = self[segment: SegmentIndex.cs].base &+ eip
        var hits: UInt32 = 0
        for n in 0..<4 where isEnabled(n) && kind(n) == 0 && system.dr[n] == linear { hits |= 1 << UInt32(n) }
        system.dr[6] |= hits
        return hits != 0
    }

    /// Remembers an access for `takeDataBreakpoints`.
    func noteAccess(_ linear: UInt32, _ width: Int, write: Bool) {
        for n in 0..<4 where isEnabled(n) && (kind(n) == 3 || write && kind(n) == 1) {
            // LEN: 0 one byte, 1 two, 3 four; the address is aligned to it.
            let length = UInt32(system.dr[7] >> UInt32(18 + 4 * n) & 3) + 1
            let start = system.dr[n] & ~(length - 1)
            if linear &- start < length || start &- linear < UInt32(width) {
                system.dataBreakpoints |= 1 << UInt32(n)
            }
        }
    }

    /// Moves the data breakpoints that the last instruction hit into DR6; true when there were any.
    public func takeDataBreakpoints() -> Bool {
        let hits = system.dataBreakpoints
        system.dataBreakpoints = 0
        system.dr[6] |= hits
        return hits != 0
    }
}

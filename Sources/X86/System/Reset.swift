// SPDX-License-Identifier: Apache-2.0

extension CPU {
    /// The state after RESET in real-address mode is never used by our guests; start from a protected-mode
    /// state without paging in which everything is flat and privileged. Guest interfaces refine it.
    public func resetFlat() {
        for index in 0..<8 { self[r32: index] = 0 }
        eip = 0
        setEFLAGS(2)
        let code = SegmentRegister(selector: 0, attributes: 0xC09B, base: 0, limit: UInt32.max)
        let data = SegmentRegister(selector: 0, attributes: 0xC093, base: 0, limit: UInt32.max)
        for index in 0..<6 { self[segment: index] = index == SegmentIndex.cs ? code : data }
        self[segment: SegmentIndex.ldtr] = SegmentRegister()
        self[segment: SegmentIndex.tr] = SegmentRegister()
        system.cr0 = ControlBits.pe | ControlBits.et
        system.cr2 = 0
        system.cr3 = 0
        system.cr4 = 0
        system.efer = 0
        system.dr[6] = 0xFFFF_0FF0
        system.dr[7] = 0x400
        setPrivilege(0)
        updateMode()
        flushTranslations()
    }

    /// Forgets all cached translations.
    public func flushTranslations() { owner.tables.flushAll() }
}

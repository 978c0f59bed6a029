// SPDX-License-Identifier: Apache-2.0
//
// The page that guest and host share, while the guest runs. It is looked at on every crossing, so its place is
// checked once, when the guest announces it.

import GuestMemory

struct LguestData {
    let address: UInt64
    let layout: LguestDataLayout
    private let memory: Unmanaged<GuestMemory>
    private let base: UnsafeMutableRawPointer
    private let codePages: UnsafeMutablePointer<UInt8>

    /// Nil if the structure does not lie in guest memory as a whole.
    init?(address: UInt64, layout: LguestDataLayout, memory: GuestMemory) {
        guard memory.contains(address, length: UInt64(layout.size)) else { return nil }
        self.address = address
        self.layout = layout
        self.memory = Unmanaged.passUnretained(memory)
        base = memory.base + Int(address)
        codePages = memory.codePages
    }

    // SAFETY of all accesses: `offset` comes from the layout and is below its size, which `init` has checked
    // against the memory; the interface that holds this value keeps the memory alive.
    func word(_ offset: UInt32) -> UInt32 {
        base.loadUnaligned(fromByteOffset: Int(offset), as: UInt32.self)
    }

    func byte(_ offset: UInt32) -> UInt8 { base.load(fromByteOffset: Int(offset), as: UInt8.self) }

    func set(_ offset: UInt32, _ value: UInt32) {
        announce(offset, 4)
        base.storeBytes(of: value, toByteOffset: Int(offset), as: UInt32.self)
    }

    func set(_ offset: UInt32?, _ value: UInt32) {
        if let offset { set(offset, value) }
    }

    /// Tells the code cache, should the structure share a page with code.
    @inline(__always)
    private func announce(_ offset: UInt32, _ length: UInt64) {
        let start = address + UInt64(offset)
        guard codePages[Int(start >> 12)] | codePages[Int((start + length - 1) >> 12)] != 0 else { return }
        memory._withUnsafeGuaranteedRef { $0.announceWrite(address: start, length: length) }
    }

    func setByte(_ offset: UInt32, _ value: UInt8) {
        announce(offset, 1)
        base.storeBytes(of: value, toByteOffset: Int(offset), as: UInt8.self)
    }

    /// The virtual interrupt flag: bit 9 alone counts, since the guest copies whole EFLAGS images here.
    var interruptsEnabled: Bool {
        get { word(layout.irqEnabled) & 0x200 != 0 }
        nonmutating set { set(layout.irqEnabled, newValue ? 0x200 : 0) }
    }

    /// Host addresses of that flag's word and of the byte that tells whether its page has code. Valid as long as the
    /// memory.
    var interruptFlagPlace: (word: UInt, codeMark: UInt) {
        (
            UInt(bitPattern: base) + UInt(layout.irqEnabled),
            UInt(bitPattern: codePages) + UInt((address + UInt64(layout.irqEnabled)) >> 12)
        )
    }

    var blockedInterrupts: UInt32 { word(layout.blockedInterrupts) }
}

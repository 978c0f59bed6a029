// SPDX-License-Identifier: Apache-2.0
//
// Guest memory as a debugger sees it: by linear address, through the page tables as they are now, without
// touching Accessed bits or anything else.

import Support
import X86

/// Looks at a stopped guest.
public struct GuestView {
    private unowned let guest: any DebuggedGuest
    private static let usualPageOffset: UInt32 = 0xC000_0000

    public init(_ guest: any DebuggedGuest) { self.guest = guest }

    public var cpu: CPU { guest.cpu }
    public var symbols: SymbolTable? { guest.symbolTable }
    /// Bytes of RAM from guest-physical address 0.
    var ramBytes: UInt64 { guest.ramBytes }

    func physicalBytes(_ address: UInt64, count: Int) -> [UInt8]? {
        guest.readPhysical(address, count: count)
    }

    /// By how much the kernel's linear addresses of RAM are above the physical ones.
    var linearMapOffset: UInt32 {
        guard let symbols else { return Self.usualPageOffset }
        if let offset = symbols.linkOffset { return offset }
        guard let text = symbols.lookup(name: "_stext"), let physical = physical(text.address),
            physical <= UInt64(text.address)
        else { return Self.usualPageOffset }
        return (text.address - UInt32(physical)) & ~0xFFF
    }

    /// The physical address of a linear one, or nil. Before the guest has page tables its kernel is already
    /// known by linked addresses, so these are understood, too.
    public func physical(_ linear: UInt32) -> UInt64? {
        let cpu = guest.cpu
        if cpu.system.cr0 & ControlBits.pg == 0, UInt64(linear) >= guest.ramBytes {
            if let loaded = guest.symbolTable?.loadAddress(linear) { return UInt64(loaded) }
            // A kernel without symbols is linked where most are.
            if linear >= Self.usualPageOffset { return UInt64(linear - Self.usualPageOffset) }
        }
        return cpu.peekTranslate(linear)
    }

    /// As many of the `count` bytes at `linear` as are mapped without a gap.
    public func bytes(_ linear: UInt32, count: Int) -> [UInt8] {
        var result: [UInt8] = []
        for (address, length) in pieces(linear, count) {
            guard let physical = physical(address), let piece = guest.readPhysical(physical, count: length)
            else { break }
            result += piece
        }
        return result
    }

    /// Writes all of `bytes`, or what comes before the first page that is not mapped and returns false.
    public func write(_ linear: UInt32, _ bytes: [UInt8]) -> Bool {
        var done = 0
        for (address, length) in pieces(linear, bytes.count) {
            guard let physical = physical(address),
                guest.writePhysical(physical, Array(bytes[done..<done + length]))
            else { return false }
            done += length
        }
        return true
    }

    public func word(_ linear: UInt32) -> UInt32? {
        bytes(linear, count: 4).littleEndian(at: 0)
    }

    /// The text at `linear` up to a zero byte, at most `limit` bytes; nil when it is not all there.
    public func text(_ linear: UInt32, limit: Int) -> String? {
        let found = bytes(linear, count: limit)
        guard let end = found.firstIndex(of: 0) else { return nil }
        return String(decoding: found[..<end], as: UTF8.self).asOneLine
    }

    /// A range cut at page borders; it may wrap around.
    private func pieces(_ linear: UInt32, _ count: Int) -> [(UInt32, Int)] {
        var list: [(UInt32, Int)] = []
        var address = linear
        var left = count
        while left > 0 {
            let length = min(left, Int(0x1000 - address & 0xFFF))
            list.append((address, length))
            address &+= UInt32(length)
            left -= length
        }
        return list
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Who called whom, from what lies on the guest kernel's stack. A chain of frame pointers is believed as far as it
// goes; beyond it, every word that could be a return address is one if the bytes before it are a call. Such a
// word may be a leftover of an earlier call, so these entries are marked as uncertain.

import Support
import X86

/// One line of a stack trace.
public struct StackFrame: Equatable, Sendable {
    /// Where the function goes on after the call; in the first frame, EIP.
    public var address: UInt32
    public var isCertain: Bool
}

public struct StackTrace {
    private let view: GuestView
    private let isText: (UInt32) -> Bool
    /// Kernel stacks are not larger; bytes.
    private static let stackLimit: UInt32 = 8192
    public static let maximumFrames = 24

    public init(_ guest: any DebuggedGuest) {
        view = GuestView(guest)
        let tasks = TaskList(view)
        let symbols = guest.symbolTable
        isText = tasks.knowsText ? tasks.isText : { symbols?.lookup($0) != nil }
    }

    /// The frames of the kernel code that runs, innermost first; only the first in user mode.
    public func frames() -> [StackFrame] {
        let cpu = view.cpu
        let first = StackFrame(address: cpu.eip, isCertain: true)
        guard cpu.cpl != 3 else { return [first] }
        let esp = cpu[r32: GPR.esp]
        var frames = [first]
        var next = esp
        // At a function's first instruction its caller is on top of the stack, and EBP is still the caller's.
        if let place = view.symbols?.lookup(cpu.eip), place.offset == 0, let caller = returnAddress(at: esp) {
            frames.append(StackFrame(address: caller, isCertain: true))
            next = esp &+ 4
        }
        let chain = frameChain(from: next)
        frames += chain.map { StackFrame(address: $0.address, isCertain: true) }
        let scanStart = chain.last.map { $0.slot &+ 4 } ?? next
        frames += scan(from: scanStart, to: end(of: esp)).map { StackFrame(address: $0, isCertain: false) }
        return Array(frames.prefix(Self.maximumFrames))
    }

    /// Stacks lie at multiples of their size; a stack of another size is cut somewhere, or read too far.
    private func end(of esp: UInt32) -> UInt32 { (esp | (Self.stackLimit - 1)) &- 3 }

    private func frameChain(from esp: UInt32) -> [(address: UInt32, slot: UInt32)] {
        var chain: [(address: UInt32, slot: UInt32)] = []
        var frame = view.cpu[r32: GPR.ebp]
        var lowest = esp
        while frame & 3 == 0, frame >= lowest, frame &- esp < 4 * Self.stackLimit,
            let address = returnAddress(at: frame &+ 4), let outer = view.word(frame)
        {
            chain.append((address, frame &+ 4))
            guard chain.count < Self.maximumFrames, outer > frame else { break }
            lowest = frame &+ 8
            frame = outer
        }
        return chain
    }

    private func scan(from start: UInt32, to end: UInt32) -> [UInt32] {
        guard start < end else { return [] }
        return stride(from: start & ~3, to: end, by: 4).lazy.compactMap(returnAddress(at:)).prefix(
            Self.maximumFrames
        ).map { $0 }
    }

    /// The word at `slot` if it is an address behind a call.
    private func returnAddress(at slot: UInt32) -> UInt32? {
        guard let address = view.word(slot), isText(address), isBehindCall(address) else { return nil }
        return address
    }

    /// Whether the bytes before `address` are a CALL.
    private func isBehindCall(_ address: UInt32) -> Bool {
        let bytes = view.bytes(address &- 7, count: 7)
        return bytes.count == 7 && (bytes[2] == 0xE8 || CallEncoding.endsWithIndirectCall(bytes))
    }
}

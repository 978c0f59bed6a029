// SPDX-License-Identifier: Apache-2.0
//
// The x86 I/O port space as a lguest guest sees it: almost empty. Kernels probe many ports of old
// hardware while they boot (lguest ABI 11.1 item 30), so a port that nobody claims must read as all
// ones, quickly: one kernel polls the PIT a hundred thousand times (item 22).

import Tap

/// Something that answers on a range of I/O ports.
public protocol PortHandler: AnyObject {
    /// Reads `width` bytes (1, 2 or 4) at `offset` from the range's first port; all of them lie
    /// inside the range.
    func portRead(offset: UInt16, width: Int) -> UInt32
    /// Writes the low `width` bytes (1, 2 or 4) of `value`; all of them lie inside the range.
    func portWrite(offset: UInt16, width: Int, value: UInt32)
}

/// A device whose ports have one byte each; a wider access is one to each of them, the lowest first.
public protocol BytePortHandler: PortHandler {
    func readByte(_ offset: UInt16) -> UInt8
    func writeByte(_ offset: UInt16, _ value: UInt8)
}

extension BytePortHandler {
    public func portRead(offset: UInt16, width: Int) -> UInt32 {
        (0..<UInt16(width)).reduce(0) { $0 | UInt32(readByte(offset + $1)) << (8 * UInt32($1)) }
    }

    public func portWrite(offset: UInt16, width: Int, value: UInt32) {
        for index in 0..<UInt16(width) {
            writeByte(offset + index, UInt8(truncatingIfNeeded: value >> (8 * UInt32(index))))
        }
    }
}

/// Sends port accesses to the device that claims the port.
public final class PortBus {
    private struct Claim {
        let first: UInt16
        let last: UInt16
    }

    // Two arrays, so that the search touches plain numbers only.
    private var claims: [Claim] = []
    private var handlers: [any PortHandler] = []
    /// Told of each access, if it wants to be.
    public var tap: TraceTap? {
        didSet { traceSwitch = tap?.traceSwitch }
    }
    private var traceSwitch: TraceSwitch?
    private let keyboard = AbsentKeyboard()
    /// The guest has pulled the reset line, which on a PC is the keyboard controller's: the last resort of Linux before
    /// 2.6.25, which knows no hypercall for a restart.
    public var onReset: () -> Void {
        get { keyboard.onReset }
        set { keyboard.onReset = newValue }
    }

    /// A bus with nothing on it but the keyboard controller's status port 0x64, which reads 1: "a
    /// byte is waiting" that never goes away lets the guest's probe give up (lguest ABI 7.1).
    /// Without `hasStuckKeyboard` there is nothing at all.
    public init(hasStuckKeyboard: Bool = true) {
        if hasStuckKeyboard { claim(ports: 0x64...0x64, handler: keyboard) }
    }

    /// Gives `ports` to `handler`. The first to claim a port keeps it.
    public func claim(ports: ClosedRange<UInt16>, handler: any PortHandler) {
        claims.append(Claim(first: ports.lowerBound, last: ports.upperBound))
        handlers.append(handler)
    }

    /// Reads `width` bytes (1, 2 or 4) at `port`; bytes above them are zero. Unclaimed ports read as ones.
    public func read(port: UInt16, width: Int) -> UInt32 {
        guard traceSwitch?.wants(.io) == true, let tap else { return perform(readOf: port, width: width) }
        let mark = tap.begin(.portRead, UInt32(port), UInt32(width))
        let value = perform(readOf: port, width: width)
        tap.end(mark, 2, value)
        return value
    }

    private func perform(readOf port: UInt16, width: Int) -> UInt32 {
        let ones = UInt32(truncatingIfNeeded: Access.ones(width: width))
        guard let index = find(port, width) else { return ones }
        let claim = claims[index]
        if Int(port) + width - 1 <= Int(claim.last), claim.first <= port {
            return handlers[index].portRead(offset: port - claim.first, width: width) & ones
        }
        // Across the edge of a range each byte has its own owner.
        var value: UInt32 = 0
        for byte in 0..<width {
            let byteValue = Int(port) + byte > 0xFFFF ? 0xFF : perform(readOf: port + UInt16(byte), width: 1)
            value |= byteValue << UInt32(byte * 8)
        }
        return value
    }

    /// Writes the low `width` bytes (1, 2 or 4) of `value` at `port`. Unclaimed ports ignore it.
    public func write(port: UInt16, width: Int, value: UInt32) {
        guard traceSwitch?.wants(.io) == true, let tap else {
            return perform(writeOf: port, width: width, value: value)
        }
        let mark = tap.begin(.portWrite, UInt32(port), UInt32(width), value)
        perform(writeOf: port, width: width, value: value)
        tap.end(mark)
    }

    private func perform(writeOf port: UInt16, width: Int, value: UInt32) {
        guard let index = find(port, width) else { return }
        let claim = claims[index]
        if Int(port) + width - 1 <= Int(claim.last), claim.first <= port {
            let kept = value & UInt32(truncatingIfNeeded: Access.ones(width: width))
            handlers[index].portWrite(offset: port - claim.first, width: width, value: kept)
            return
        }
        for byte in 0..<width where Int(port) + byte <= 0xFFFF {
            perform(writeOf: port + UInt16(byte), width: 1, value: (value >> UInt32(byte * 8)) & 0xFF)
        }
    }

    /// The first claim that any byte of the access touches.
    private func find(_ port: UInt16, _ width: Int) -> Int? {
        let last = Int(port) + width - 1
        for index in claims.indices
        where port <= claims[index].last && last >= Int(claims[index].first) {
            return index
        }
        return nil
    }
}

/// Port 0x64 of a machine without keyboard controller, but with the reset line that hangs on it.
private final class AbsentKeyboard: PortHandler {
    /// Pulses output 0, and none of the other three.
    private static let pulseReset: UInt32 = 0xFE
    var onReset: () -> Void = {}

    func portRead(offset: UInt16, width: Int) -> UInt32 { 1 }
    func portWrite(offset: UInt16, width: Int, value: UInt32) {
        if value == Self.pulseReset { onReset() }
    }
}

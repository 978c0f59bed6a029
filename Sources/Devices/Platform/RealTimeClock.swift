// SPDX-License-Identifier: Apache-2.0
//
// The MC146818 clock with its battery-backed memory, ports 0x70 and 0x71. It shows the host's time in UTC; a
// guest that sets it changes only the difference, which is forgotten with the machine.
//
// It knows whole seconds. Where PCs have more of such memory, at ports 0x72 and 0x73, a guest finds the host's time to
// the nanosecond (`ExactTime`).

import Support

public final class RealTimeClock {
    private enum Register {
        static let seconds = 0, minutes = 2, hours = 4, weekday = 6, day = 7, month = 8, year = 9
        static let a = 10, b = 11, c = 12, d = 13
        /// Where PCs keep the century.
        static let century = 0x32
    }

    private let clock: any HostClock
    /// Nothing but date registers and status is ever looked at here.
    private var memory = [UInt8](repeating: 0, count: 128)
    private var index: UInt8 = 0
    /// What the guest has made of the host's time, in seconds.
    private var offset: Int64 = 0
    /// The time shown while the guest sets the clock (register B, bit 7).
    private var frozen: CivilTime?
    /// Interrupt reasons of register C.
    private var reasons: UInt8 = 0
    /// Up to here interrupts have been looked at, in nanoseconds since 1970.
    private var checked: UInt64 = 0
    /// Sets the wire of interrupt 8.
    public var setOutput: (Bool) -> Void = { _ in }
    /// Told when `nextEvent` may have changed.
    public var settingsChanged: () -> Void = {}

    public init(clock: any HostClock) {
        self.clock = clock
        memory[Register.a] = 0x26
        memory[Register.b] = 0x02
        checked = nanoseconds
    }

    public func claimPorts(on ports: PortBus) {
        ports.claim(ports: 0x70...0x71, handler: self)
        ports.claim(ports: 0x72...0x73, handler: ExactTime(clock: clock))
    }

    private var nanoseconds: UInt64 {
        let now = clock.realtime()
        return UInt64(max(0, now.seconds &+ offset)) &* 1_000_000_000 &+ UInt64(now.nanoseconds)
    }

    private var time: CivilTime {
        frozen ?? CivilTime(secondsSince1970: Int64(nanoseconds / 1_000_000_000))
    }

    // Registers

    private var isBinary: Bool { memory[Register.b] & 4 != 0 }
    private var has24Hours: Bool { memory[Register.b] & 2 != 0 }

    private func coded(_ value: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: isBinary ? value : (value / 10 % 10) << 4 | value % 10)
    }

    private func decoded(_ value: UInt8) -> Int {
        isBinary ? Int(value) : Int(value >> 4) * 10 + Int(value & 15)
    }

    private func codedHour(_ hour: Int) -> UInt8 {
        if has24Hours { return coded(hour) }
        return coded(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0)
    }

    private func decodedHour(_ value: UInt8) -> Int {
        if has24Hours { return decoded(value) }
        return decoded(value & 0x7F) % 12 + (value & 0x80 != 0 ? 12 : 0)
    }

    private func read(_ register: Int) -> UInt8 {
        switch register {
        case Register.seconds: return coded(time.second)
        case Register.minutes: return coded(time.minute)
        case Register.hours: return codedHour(time.hour)
        case Register.weekday: return coded(time.weekday)
        case Register.day: return coded(time.day)
        case Register.month: return coded(time.month)
        case Register.year: return coded(time.year % 100)
        case Register.century: return coded(time.year / 100)
        case Register.a:
            // Update in progress: the last 244 µs of each second.
            let updates = frozen == nil && nanoseconds % 1_000_000_000 >= 999_756_000
            return memory[Register.a] & 0x7F | (updates ? 0x80 : 0)
        case Register.c:
            check()
            let value = reasons
            reasons = 0
            setOutput(false)
            return value
        case Register.d: return 0x80  // the battery is good
        default: return memory[register]
        }
    }

    private func write(_ register: Int, _ value: UInt8) {
        defer { settingsChanged() }
        switch register {
        case Register.seconds: set { $0.second = decoded(value) }
        case Register.minutes: set { $0.minute = decoded(value) }
        case Register.hours: set { $0.hour = decodedHour(value) }
        case Register.weekday: break
        case Register.day: set { $0.day = decoded(value) }
        case Register.month: set { $0.month = decoded(value) }
        case Register.year: set { $0.year = $0.year / 100 * 100 + decoded(value) }
        case Register.century: set { $0.year = decoded(value) * 100 + $0.year % 100 }
        case Register.a:
            check()
            memory[Register.a] = value & 0x7F
        case Register.b:
            check()
            let halts = value & 0x80 != 0
            if halts, frozen == nil { frozen = time }
            memory[Register.b] = value
            if !halts, let set = frozen {
                frozen = nil
                offset = set.secondsSince1970 &- clock.realtime().seconds
                checked = nanoseconds
            }
            updateOutput()
        case Register.c, Register.d: break
        default: memory[register] = value
        }
    }

    private func set(_ change: (inout CivilTime) -> Void) {
        var new = time
        change(&new)
        if frozen != nil {
            frozen = new
        } else {
            offset = new.secondsSince1970 &- clock.realtime().seconds
        }
    }

    // Interrupts

    /// Nanoseconds between two periodic interrupts, or nil.
    private var period: UInt64? {
        let rate = UInt64(memory[Register.a] & 15)
        guard rate > 0 else { return nil }
        // Rates 1 and 2 repeat 8 and 9.
        return 1_000_000_000 << ((rate < 3 ? rate + 7 : rate) - 1) / 32768
    }

    /// When to look again, in nanoseconds of the monotonic clock; nil while no interrupt is enabled.
    public var nextEvent: UInt64? {
        let enabled = memory[Register.b] & 0x70
        guard enabled != 0, frozen == nil else { return nil }
        let now = nanoseconds
        var due = (now / 1_000_000_000 + 1) * 1_000_000_000
        if enabled & 0x40 != 0, let period { due = min(due, (now / period + 1) * period) }
        return clock.monotonicNanoseconds() &+ (due - now)
    }

    /// Makes the interrupts that are due.
    public func advance() {
        guard memory[Register.b] & 0x70 != 0, frozen == nil else { return }
        check()
        updateOutput()
    }

    /// Notes in register C what has happened since the last look.
    private func check() {
        let now = nanoseconds
        guard frozen == nil, now > checked else { return }
        if let period, now / period > checked / period { reasons |= 0x40 }
        let second = now / 1_000_000_000
        let first = checked / 1_000_000_000
        if second > first {
            reasons |= 0x10
            // An alarm missed by more than a minute has rung all the same.
            for number in max(first, second - min(second, 60)) + 1...second where rings(Int64(number)) {
                reasons |= 0x20
            }
        }
        checked = now
    }

    /// Alarm bytes from 0xC0 up fit always.
    private func rings(_ seconds: Int64) -> Bool {
        let moment = CivilTime(secondsSince1970: seconds)
        func fits(_ register: Int, _ value: UInt8) -> Bool {
            memory[register] >= 0xC0 || memory[register] == value
        }
        return fits(1, coded(moment.second)) && fits(3, coded(moment.minute))
            && fits(5, codedHour(moment.hour))
    }

    private func updateOutput() {
        let active = reasons & memory[Register.b] & 0x70 != 0
        if active { reasons |= 0x80 }
        setOutput(active)
    }
}

extension RealTimeClock: PortHandler {
    public func portRead(offset: UInt16, width: Int) -> UInt32 {
        let low = offset == 0 ? 0xFF : UInt32(read(Int(index)))
        return width > 1 ? low | UInt32(read(Int(index))) << 8 : low
    }

    public func portWrite(offset: UInt16, width: Int, value: UInt32) {
        if offset == 0 { index = UInt8(truncatingIfNeeded: value) & 0x7F }
        if offset == 1 { write(Int(index), UInt8(truncatingIfNeeded: value)) }
        if offset == 0, width > 1 { write(Int(index), UInt8(truncatingIfNeeded: value >> 8)) }
    }
}

/// The host's time in the clock's further memory: as Linux's 64-bit `timespec`, 16 bytes. Choosing byte 0 takes the time,
/// so that what is read belongs together. Written it is not.
private final class ExactTime: PortHandler {
    private let clock: any HostClock
    private var bytes = [UInt8](repeating: 0, count: 16)
    private var index = 0

    init(clock: any HostClock) { self.clock = clock }

    func portRead(offset: UInt16, width: Int) -> UInt32 {
        offset == 1 && index < bytes.count ? UInt32(bytes[index]) : 0xFF
    }

    func portWrite(offset: UInt16, width: Int, value: UInt32) {
        guard offset == 0 else { return }
        index = Int(value & 0xFF)
        guard index == 0 else { return }
        let now = clock.realtime()
        bytes.setLittleEndian(UInt64(bitPattern: now.seconds), at: 0, width: 8)
        bytes.setLittleEndian(UInt64(now.nanoseconds), at: 8, width: 8)
    }
}

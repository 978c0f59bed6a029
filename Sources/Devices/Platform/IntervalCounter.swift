// SPDX-License-Identifier: Apache-2.0
//
// One counter of an 8254 (Intel data sheet 231164). Its time is in ticks.

extension IntervalTimer {
    struct Counter {
        private enum Bytes: UInt8 { case low = 1, high, both }

        /// 0–5.
        private var mode: UInt8
        private var isDecimal = false
        private var bytes = Bytes.both
        private var gate: Bool
        /// 1–65536; nil until one has been written completely.
        private var reload: UInt64?
        /// When counting began.
        private var began: UInt64 = 0
        /// Modes 1 and 5 count only behind a rising gate, modes 0 and 4 once for each count written.
        private var isArmed = false
        private var lowByte: UInt8?
        private var readsHigh = false
        private var latchedCount: UInt16?
        private var latchedStatus: UInt8?
        /// Counted while the gate was low.
        private var heldAt: UInt64?
        /// The last rising edge of the output that has been seen.
        private var lastEdge: UInt64 = 0

        init(gate: Bool, mode: UInt8 = 0) {
            self.gate = gate
            self.mode = mode
        }

        // Time

        /// Ticks since counting began, standing still while the gate is low.
        private func elapsed(_ now: UInt64) -> UInt64 {
            let until = heldAt ?? now
            return until > began ? until - began : 0
        }

        /// Modes 6 and 7 are 2 and 3.
        private var isPeriodic: Bool { mode == 2 || mode == 3 }

        private func count(_ now: UInt64) -> UInt16 {
            guard let reload else { return 0 }
            let passed = elapsed(now)
            let value: UInt64
            switch mode {
            case 2: value = reload - passed % reload
            case 3: value = reload - (2 * passed) % reload
            case 1, 5:
                value = isArmed ? (reload &- passed) & 0xFFFF : reload
            default: value = (reload &- passed) & 0xFFFF
            }
            let binary = UInt16(truncatingIfNeeded: value)
            guard isDecimal else { return binary }
            let number = Int(binary) % 10_000
            let digits = [number / 1000, number / 100 % 10, number / 10 % 10, number % 10]
            return UInt16(digits.reduce(0) { $0 << 4 | $1 })
        }

        /// The output pin.
        func output(_ now: UInt64) -> Bool {
            guard let reload else { return mode != 0 }
            let passed = elapsed(now)
            switch mode {
            case 0: return passed >= reload
            case 1: return !isArmed || passed >= reload
            // Low for one tick only; nobody samples that.
            case 2: return true
            case 3: return passed % reload < (reload + 1) / 2
            default: return passed != reload
            }
        }

        /// The tick at which the output next rises; nil when it does not.
        var nextEdge: UInt64? {
            guard let reload, gate, heldAt == nil else { return nil }
            if isPeriodic {
                let done = lastEdge > began ? (lastEdge - began) / reload : 0
                return began + (done + 1) * reload
            }
            guard isArmed, lastEdge < began + reload else { return nil }
            return began + reload
        }

        /// Whether the output has risen up to `now` since the last time this was asked.
        mutating func passEdge(_ now: UInt64) -> Bool {
            guard let edge = nextEdge, let reload, now >= edge else { return false }
            lastEdge = isPeriodic ? began + (now - began) / reload * reload : edge
            return true
        }

        mutating func setGate(_ high: Bool, _ now: UInt64) {
            defer { gate = high }
            guard high != gate else { return }
            guard high else {
                if mode != 1 && mode != 5 { heldAt = now }
                return
            }
            switch mode {
            case 0, 4:
                // Goes on where it stood.
                if let held = heldAt { began += now - held }
            default:
                began = now
                isArmed = true
            }
            heldAt = nil
        }

        // The data port

        /// A control word; counting stops until a count comes.
        mutating func setMode(_ word: UInt8) {
            bytes = Bytes(rawValue: word >> 4 & 3) ?? .both
            mode = word >> 1 & 7
            if mode > 5 { mode -= 4 }
            isDecimal = word & 1 != 0
            reload = nil
            isArmed = false
            lowByte = nil
            readsHigh = false
            latchedCount = nil
            latchedStatus = nil
        }

        mutating func write(_ value: UInt8, _ now: UInt64) {
            switch bytes {
            case .low: load(UInt16(value), now)
            case .high: load(UInt16(value) << 8, now)
            case .both:
                guard let low = lowByte else {
                    lowByte = value
                    // In mode 0 the first byte stops the counter.
                    if mode == 0 { reload = nil }
                    return
                }
                lowByte = nil
                load(UInt16(value) << 8 | UInt16(low), now)
            }
        }

        private mutating func load(_ value: UInt16, _ now: UInt64) {
            var number = UInt64(value)
            if isDecimal {
                number = [0, 4, 8, 12].reversed().reduce(0) { $0 * 10 + UInt64(value >> UInt16($1) & 15) }
            }
            let isRunning = reload != nil
            reload = number == 0 ? (isDecimal ? 10_000 : 65_536) : number
            // A periodic counter would go on to the end of its period; from now on is close enough.
            if mode == 1 || mode == 5 {
                if isRunning { return }
                isArmed = false
            } else {
                isArmed = true
            }
            began = now
            lastEdge = now
            heldAt = gate ? nil : now
        }

        mutating func read(_ now: UInt64) -> UInt8 {
            if let status = latchedStatus {
                latchedStatus = nil
                return status
            }
            let value = latchedCount ?? count(now)
            switch bytes {
            case .low:
                latchedCount = nil
                return UInt8(truncatingIfNeeded: value)
            case .high:
                latchedCount = nil
                return UInt8(value >> 8)
            case .both:
                readsHigh.toggle()
                if readsHigh { return UInt8(truncatingIfNeeded: value) }
                latchedCount = nil
                return UInt8(value >> 8)
            }
        }

        mutating func latchCount(_ now: UInt64) { if latchedCount == nil { latchedCount = count(now) } }

        mutating func latchStatus(_ now: UInt64) {
            guard latchedStatus == nil else { return }
            latchedStatus =
                (output(now) ? 0x80 : 0) | (reload == nil ? 0x40 : 0) | bytes.rawValue << 4 | mode << 1
                | (isDecimal ? 1 : 0)
        }
    }
}

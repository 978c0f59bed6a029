// SPDX-License-Identifier: Apache-2.0
//
// The local APIC (Intel SDM volume 3, chapter 11): the processor's own interrupt controller. It is here for its timer:
// a deadline in ticks of the time-stamp counter is one register write for each tick of the guest's clock, needs no
// calibration and catches up by itself, where the 8254 needs five port accesses and loses ticks.

import Support

public final class LocalAPIC {
    public static let base: UInt64 = 0xFEE0_0000
    /// Frequency of the timer's counter before its divider; CPUID leaf 0x15 names it.
    public static let nanosecondsPerTick: UInt64 = 40

    private enum Register {
        static let id = 0x02, version = 0x03, taskPriority = 0x08, processorPriority = 0x0A
        static let endOfInterrupt = 0x0B, logicalDestination = 0x0D, destinationFormat = 0x0E
        static let spurious = 0x0F, inService = 0x10, trigger = 0x18, requests = 0x20, errors = 0x28
        static let command = 0x30, commandHigh = 0x31, timer = 0x32, lint0 = 0x35
        static let initialCount = 0x38, currentCount = 0x39, divide = 0x3E
        /// The local vector table: timer, thermal, performance, LINT0, LINT1, error.
        static let vectors = 0x32...0x37
    }
    private static let masked: UInt32 = 1 << 16

    private let clock: any HostClock
    private let start: UInt64
    private var taskPriority: UInt8 = 0
    private var logicalDestination: UInt32 = 0
    private var destinationFormat: UInt32 = .max
    private var spurious: UInt32 = 0x1FF
    private var command: UInt64 = 0
    private var vectors: [UInt32]
    private var inService = VectorSet()
    private var levelTriggered = VectorSet()
    private var requests = VectorSet()
    private var divide: UInt32 = 0
    private var initialCount: UInt32 = 0
    /// When the count began, and when the timer next fires; nanoseconds since `start`, which are also the ticks of
    /// the time-stamp counter.
    private var countBegan: UInt64 = 0
    private var due: UInt64?

    /// Told after everything that may change the answer of `wantsInterrupt`.
    public var changed: () -> Void = {}
    /// Told when the timer has been set anew.
    public var timerChanged: () -> Void = {}
    /// Told the vector of a level-triggered interrupt that has been served.
    public var levelServed: (UInt8) -> Void = { _ in }
    /// Told of a reset that the guest sends to its processor.
    public var resetRequested: () -> Void = {}

    /// `start` is the moment of the monotonic clock at which the time-stamp counter was 0.
    public init(clock: any HostClock, start: UInt64) {
        self.clock = clock
        self.start = start
        vectors = [UInt32](repeating: Self.masked, count: Register.vectors.count)
        // As firmware leaves it ("virtual wire"): the 8259s reach the processor through LINT0.
        vectors[Register.lint0 - Register.timer] = 0x700
        vectors[Register.lint0 + 1 - Register.timer] = 0x400
    }

    private var isEnabled: Bool { spurious & 0x100 != 0 }

    /// Whether the 8259s may ask the processor.
    public var passesExternal: Bool {
        let wire = vectors[Register.lint0 - Register.timer]
        return !isEnabled || wire & Self.masked == 0 && wire & 0x700 == 0x700
    }

    // Interrupts

    private var processorPriority: UInt8 {
        let serving = inService.highest ?? 0
        return serving & 0xF0 > taskPriority & 0xF0 ? serving & 0xF0 : taskPriority
    }

    public var wantsInterrupt: Bool {
        guard let vector = requests.highest, isEnabled else { return false }
        return vector & 0xF0 > processorPriority & 0xF0
    }

    /// The vector to deliver; only while `wantsInterrupt`.
    public func acknowledge() -> UInt8 {
        guard let vector = requests.highest else { return UInt8(truncatingIfNeeded: spurious) }
        requests.remove(vector)
        inService.insert(vector)
        changed()
        return vector
    }

    /// An interrupt arrives.
    public func accept(vector: UInt8, isLevel: Bool) {
        guard isEnabled, vector > 15 else { return }
        requests.insert(vector)
        if isLevel { levelTriggered.insert(vector) } else { levelTriggered.remove(vector) }
        changed()
    }

    /// Whether this is the processor that an interrupt message is for.
    public func isAddressed(_ destination: UInt8, logically: Bool) -> Bool {
        guard logically else { return destination == 0 || destination == 0xFF }
        let own = UInt8(logicalDestination >> 24)
        if destinationFormat >> 28 == 15 { return own & destination != 0 }
        return own >> 4 == destination >> 4 && own & destination & 15 != 0 || destination == 0xFF
    }

    private func endOfInterrupt() {
        guard let vector = inService.highest else { return }
        inService.remove(vector)
        if levelTriggered.contains(vector) { levelServed(vector) }
        changed()
    }

    /// A message to other processors, of which there are none, or to itself.
    private func send() {
        let low = UInt32(truncatingIfNeeded: command)
        let reachesSelf =
            switch low >> 18 & 3 {
            case 0: isAddressed(UInt8(truncatingIfNeeded: command >> 56), logically: low & 0x800 != 0)
            case 3: false
            default: true
            }
        guard reachesSelf else { return }
        switch low >> 8 & 7 {
        case 0, 1: accept(vector: UInt8(truncatingIfNeeded: low), isLevel: false)
        case 5: if low & 0xC000 == 0x4000 { resetRequested() }
        default: break
        }
    }

    // The timer

    private var now: UInt64 { clock.monotonicNanoseconds() &- start }
    private var timerVector: UInt32 { vectors[0] }
    private var usesDeadline: Bool { timerVector >> 17 & 3 == 2 }
    private var isPeriodic: Bool { timerVector >> 17 & 3 == 1 }

    /// Nanoseconds that one count takes.
    private var unit: UInt64 {
        let code = divide & 3 | divide >> 1 & 4
        return Self.nanosecondsPerTick << UInt64(code == 7 ? 0 : code + 1)
    }

    private var period: UInt64 { UInt64(initialCount) * unit }

    /// When the timer fires, in nanoseconds of the monotonic clock.
    public var nextEvent: UInt64? {
        guard let due, timerVector & Self.masked == 0 else { return nil }
        let (moment, overflow) = due.addingReportingOverflow(start)
        return overflow ? nil : moment
    }

    public func advance(to nanoseconds: UInt64) {
        guard let due, nanoseconds >= start, nanoseconds - start >= due else { return }
        if isPeriodic, period > 0 {
            self.due = due + ((nanoseconds - start - due) / period + 1) * period
        } else {
            self.due = nil
        }
        if timerVector & Self.masked == 0 {
            accept(vector: UInt8(truncatingIfNeeded: timerVector), isLevel: false)
        }
    }

    /// The deadline register, in ticks of the time-stamp counter; 0 for none.
    public var deadline: UInt64 {
        get { usesDeadline ? due ?? 0 : 0 }
        set {
            guard usesDeadline else { return }
            due = newValue == 0 ? nil : newValue
            timerChanged()
        }
    }

    private func startCount(_ count: UInt32) {
        initialCount = count
        guard !usesDeadline else { return }
        countBegan = now
        due = count == 0 ? nil : countBegan + period
        timerChanged()
    }

    private var currentCount: UInt32 {
        guard !usesDeadline, initialCount > 0, let due else { return 0 }
        let now = now
        return due > now ? UInt32(clamping: (due - now) / unit) : 0
    }
}

// Registers are 32 bits wide, at multiples of 16.
extension LocalAPIC: MMIOHandler {
    public func mmioRead(offset: UInt64, width: Int) -> UInt64 {
        guard offset & 0xF < 4 else { return 0 }
        return UInt64(read(Int(offset >> 4))) >> (8 * (offset & 3))
    }

    public func mmioWrite(offset: UInt64, width: Int, value: UInt64) {
        guard offset & 0xF == 0 else { return }
        write(Int(offset >> 4), UInt32(truncatingIfNeeded: value))
    }

    private func read(_ register: Int) -> UInt32 {
        switch register {
        case Register.id: 0
        case Register.version: 0x0005_0014
        case Register.taskPriority: UInt32(taskPriority)
        case Register.processorPriority: UInt32(processorPriority)
        case Register.logicalDestination: logicalDestination
        case Register.destinationFormat: destinationFormat
        case Register.spurious: spurious
        case Register.inService..<Register.trigger: inService.word(register - Register.inService)
        case Register.trigger..<Register.requests: levelTriggered.word(register - Register.trigger)
        case Register.requests..<Register.errors: requests.word(register - Register.requests)
        case Register.command: UInt32(truncatingIfNeeded: command)
        case Register.commandHigh: UInt32(command >> 32)
        case Register.vectors: vectors[register - Register.timer]
        case Register.initialCount: initialCount
        case Register.currentCount: currentCount
        case Register.divide: divide
        default: 0
        }
    }

    private func write(_ register: Int, _ value: UInt32) {
        switch register {
        case Register.taskPriority:
            taskPriority = UInt8(truncatingIfNeeded: value)
            changed()
        case Register.endOfInterrupt: endOfInterrupt()
        case Register.logicalDestination: logicalDestination = value & 0xFF00_0000
        case Register.destinationFormat: destinationFormat = value | 0x0FFF_FFFF
        case Register.spurious:
            spurious = value & 0x1FF
            if !isEnabled { vectors = vectors.map { $0 | Self.masked } }
            changed()
        case Register.command:
            // The bit "delivery pending" is never seen set.
            command = command & 0xFFFF_FFFF_0000_0000 | UInt64(value & ~0x1000)
            send()
        case Register.commandHigh: command = command & 0xFFFF_FFFF | UInt64(value) << 32
        case Register.vectors: writeVector(register - Register.timer, value)
        case Register.initialCount: startCount(value)
        case Register.divide: divide = value & 0xB
        default: break
        }
    }

    private func writeVector(_ index: Int, _ value: UInt32) {
        let kept = value & (index == 0 ? 0x0007_00FF : 0x0001_A7FF) | (isEnabled ? 0 : Self.masked)
        // Another mode of the timer disarms it.
        if index == 0, (vectors[0] ^ kept) & 0x6_0000 != 0 {
            due = nil
            timerChanged()
        }
        vectors[index] = kept
        changed()
    }
}

/// 256 bits, one for each vector.
struct VectorSet {
    private var words = InlineArray<8, UInt32>(repeating: 0)

    /// The highest vector that is in the set.
    var highest: UInt8? {
        for index in (0..<8).reversed() where words[index] != 0 {
            return UInt8(index * 32 + 31 - words[index].leadingZeroBitCount)
        }
        return nil
    }

    func word(_ index: Int) -> UInt32 { words[index & 7] }
    func contains(_ vector: UInt8) -> Bool { words[Int(vector >> 5)] >> UInt32(vector & 31) & 1 != 0 }
    mutating func insert(_ vector: UInt8) { words[Int(vector >> 5)] |= UInt32(1) << UInt32(vector & 31) }
    mutating func remove(_ vector: UInt8) { words[Int(vector >> 5)] &= ~(UInt32(1) << UInt32(vector & 31)) }
}

// SPDX-License-Identifier: Apache-2.0
//
// The two 8259A interrupt controllers of a PC, the second one on input 2 of the first. Sixteen wires come in;
// one request to the processor goes out, and the processor's acknowledge gets a vector. ELCR, from the days of
// PCI, says which inputs are level-triggered.

/// The pair of 8259A controllers with their ports 0x20, 0xA0 and 0x4D0.
public final class InterruptController {
    private var primary = Chip(id: 0)
    private var secondary = Chip(id: 2)
    /// Told after everything that may change the answer of `wantsInterrupt`.
    public var changed: () -> Void = {}

    public init() {}

    /// Makes these inputs level-triggered, as a PC's firmware does for those of its PCI slots.
    public func setLevelTriggered(_ inputs: [Int]) {
        for input in inputs {
            if input < 8 {
                primary.levels |= 1 << UInt8(input)
            } else {
                secondary.levels |= 1 << UInt8(input & 7)
            }
        }
    }

    /// Takes the controllers' ports.
    public func claimPorts(on ports: PortBus) {
        ports.claim(ports: 0x20...0x21, handler: Ports(self, first: 0))
        ports.claim(ports: 0xA0...0xA1, handler: Ports(self, first: 2))
        ports.claim(ports: 0x4D0...0x4D1, handler: Ports(self, first: 4))
    }

    /// Sets input `irq` (0–15) high or low.
    public func setLine(_ irq: Int, _ high: Bool) {
        if irq < 8 {
            primary.setLine(UInt8(irq), high)
        } else {
            secondary.setLine(UInt8(irq & 7), high)
        }
        cascade()
    }

    /// Whether the processor is asked for an interrupt.
    public var wantsInterrupt: Bool { primary.best != nil }

    /// The processor's acknowledge: the vector to deliver. Without a request, that of input 7 (spurious).
    public func acknowledge() -> UInt8 {
        defer { cascade() }
        guard let input = primary.best else { return primary.base | 7 }
        primary.acknowledge(input)
        guard input == 2 else { return primary.base | input }
        guard let second = secondary.best else { return secondary.base | 7 }
        secondary.acknowledge(second)
        return secondary.base | second
    }

    /// Input 2 of the first controller follows the second one's request.
    private func cascade() {
        primary.setLine(2, secondary.best != nil)
        changed()
    }

    /// Offsets: 0 and 1 the first controller, 2 and 3 the second, 4 and 5 ELCR.
    fileprivate func read(_ register: UInt16) -> UInt8 {
        defer { cascade() }
        switch register {
        case 0, 1: return primary.read(isData: register == 1)
        case 2, 3: return secondary.read(isData: register == 3)
        case 4: return primary.levels
        default: return secondary.levels
        }
    }

    fileprivate func write(_ register: UInt16, _ value: UInt8) {
        switch register {
        case 0, 1: primary.write(value, isData: register == 1)
        case 2, 3: secondary.write(value, isData: register == 3)
        // The timer, the keyboard and the cascade are edges for ever, and so is the clock.
        case 4: primary.levels = value & 0xF8
        default: secondary.levels = value & 0xDE
        }
        cascade()
    }

    private final class Ports: BytePortHandler {
        private unowned let controller: InterruptController
        private let first: UInt16

        init(_ controller: InterruptController, first: UInt16) {
            self.controller = controller
            self.first = first
        }

        func readByte(_ offset: UInt16) -> UInt8 { controller.read(first + offset) }
        func writeByte(_ offset: UInt16, _ value: UInt8) { controller.write(first + offset, value) }
    }
}

/// One 8259A (Intel data sheet 231468). MCS-80 mode, buffered mode and the special fully nested mode are not
/// there: nothing on a PC uses them.
private struct Chip {
    /// What has asked for service: the IRR.
    var requests: UInt8 = 0
    /// What is being served: the ISR.
    var inService: UInt8 = 0
    var mask: UInt8 = 0xFF
    /// Level-triggered inputs, from ELCR.
    var levels: UInt8 = 0
    /// The inputs as they are now.
    var lines: UInt8 = 0
    /// Upper five bits of the vectors.
    var base: UInt8 = 0
    /// The input with the lowest priority; the next one has the highest.
    private var lowest: UInt8 = 7
    private var readsInService = false
    private var polls = false
    private var specialMask = false
    private var endsAutomatically = false
    private var rotatesAutomatically = false
    /// Which initialisation word comes next at the data port; 0 for none.
    private var nextWord = 0
    private var needsFourth = false
    private let id: UInt8

    init(id: UInt8) { self.id = id }

    mutating func setLine(_ input: UInt8, _ high: Bool) {
        let bit = UInt8(1) << input
        if levels & bit != 0 {
            requests = high ? requests | bit : requests & ~bit
        } else if high {
            if lines & bit == 0 { requests |= bit }
        } else {
            // An edge's request stays until it is acknowledged or the input goes away.
            requests &= ~bit
        }
        lines = high ? lines | bit : lines & ~bit
    }

    /// The request that the processor is asked for, or nil.
    var best: UInt8? {
        let candidates = requests & ~mask
        guard candidates != 0 else { return nil }
        for step in 1...8 as ClosedRange<UInt8> {
            let input = (lowest + step) & 7
            let bit = UInt8(1) << input
            // What is being served holds off itself and all that is less urgent, or in special mask mode itself.
            if inService & bit != 0 {
                if specialMask { continue }
                return nil
            }
            if candidates & bit != 0 { return input }
        }
        return nil
    }

    mutating func acknowledge(_ input: UInt8) {
        let bit = UInt8(1) << input
        if levels & bit == 0 { requests &= ~bit }
        if endsAutomatically {
            if rotatesAutomatically { lowest = input }
        } else {
            inService |= bit
        }
    }

    mutating func read(isData: Bool) -> UInt8 {
        if polls {
            polls = false
            guard let input = best else { return 0 }
            acknowledge(input)
            return 0x80 | input
        }
        return isData ? mask : readsInService ? inService : requests
    }

    mutating func write(_ value: UInt8, isData: Bool) {
        if isData {
            writeData(value)
        } else if value & 0x10 != 0 {
            startInitialisation(value)
        } else if value & 0x08 != 0 {
            // OCW3
            if value & 0x04 != 0 { polls = true }
            if value & 0x02 != 0 { readsInService = value & 1 != 0 }
            if value & 0x40 != 0 { specialMask = value & 0x20 != 0 }
        } else {
            command(value)
        }
    }

    /// ICW1.
    private mutating func startInitialisation(_ value: UInt8) {
        let (keptLevels, keptLines) = (levels, lines)
        self = Chip(id: id)
        (levels, lines) = (keptLevels, keptLines)
        // Edges are forgotten, levels are still there.
        requests = keptLines & keptLevels
        mask = 0
        needsFourth = value & 1 != 0
        nextWord = 2
    }

    private mutating func writeData(_ value: UInt8) {
        switch nextWord {
        case 2:
            base = value & 0xF8
            nextWord = 3
        case 3: nextWord = needsFourth ? 4 : 0
        case 4:
            endsAutomatically = value & 2 != 0
            nextWord = 0
        default: mask = value
        }
    }

    /// OCW2: rotation and end of interrupt.
    private mutating func command(_ value: UInt8) {
        let named = value & 7
        switch value >> 5 {
        case 0, 4: rotatesAutomatically = value >> 5 == 4
        case 1, 5:
            // The most urgent one that is being served.
            for step in 1...8 as ClosedRange<UInt8> {
                let input = (lowest + step) & 7
                if inService & 1 << input != 0 {
                    inService &= ~(1 << input)
                    if value >> 5 == 5 { lowest = input }
                    break
                }
            }
        case 3: inService &= ~(1 << named)
        case 7:
            inService &= ~(1 << named)
            lowest = named
        case 6: lowest = named
        default: break
        }
    }
}

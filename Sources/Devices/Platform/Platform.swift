// SPDX-License-Identifier: Apache-2.0
//
// What a stock kernel expects around its processor: the smallest PC on which one boots. This file joins the parts
// and routes their interrupts; it knows nothing of the processor but "an interrupt is wanted".

import Support

public final class Platform {
    public let interrupts = InterruptController()
    public let timer: IntervalTimer
    public let clock: RealTimeClock
    public let serial: SerialPort
    public let power = PowerManagement()
    public let localAPIC: LocalAPIC
    public let ioAPIC: IOAPIC

    /// Told whenever the answer of `wantsInterrupt` may have changed.
    public var interruptsChanged: () -> Void = {}
    /// PCI interrupt wires that are high, by device number.
    private var raisedDevices: UInt32 = 0
    /// Interrupt inputs as they are driven.
    private var lines: UInt32 = 0
    /// Nothing is due before this moment of the monotonic clock, as far as is known.
    private var quietUntil: UInt64 = 0

    /// A platform whose serial port sends what is written to it to `serialOutput`. `start` is the moment of the
    /// monotonic clock at which the processor's time-stamp counter was 0.
    public init(hostClock: any HostClock, start: UInt64, serialOutput: @escaping ([UInt8]) -> Void) {
        localAPIC = LocalAPIC(clock: hostClock, start: start)
        ioAPIC = IOAPIC(local: localAPIC)
        timer = IntervalTimer(clock: hostClock)
        clock = RealTimeClock(clock: hostClock)
        serial = SerialPort(write: serialOutput)
        timer.setOutput = { [unowned self] in setLine(0, $0) }
        clock.setOutput = { [unowned self] in setLine(8, $0) }
        serial.setOutput = { [unowned self] in setLine(SerialPort.irq, $0) }
        power.setOutput = { [unowned self] in setLine(PowerManagement.irq, $0) }
        interrupts.changed = { [unowned self] in interruptsChanged() }
        localAPIC.changed = { [unowned self] in interruptsChanged() }
        timer.settingsChanged = { [unowned self] in quietUntil = 0 }
        clock.settingsChanged = { [unowned self] in quietUntil = 0 }
        localAPIC.timerChanged = { [unowned self] in quietUntil = 0 }
        localAPIC.resetRequested = { [unowned self] in power.request(.reset) }
        setLine(0, true)
        interrupts.setLevelTriggered(PCIRoute.inputs + [PowerManagement.irq])
    }

    /// Puts everything where a PC has it.
    public func attach(to ports: PortBus, _ mmio: MMIOBus) {
        interrupts.claimPorts(on: ports)
        timer.claimPorts(on: ports)
        clock.claimPorts(on: ports)
        serial.claimPorts(on: ports)
        power.claimPorts(on: ports)
        _ = mmio.attach(localAPIC, base: LocalAPIC.base, length: 0x1000)
        _ = mmio.attach(ioAPIC, base: IOAPIC.base, length: IOAPIC.length)
    }

    private func setLine(_ input: Int, _ high: Bool) {
        let bit = UInt32(1) << UInt32(input)
        guard (lines & bit != 0) != high else { return }
        lines ^= bit
        interrupts.setLine(input, high)
        // The timer is on input 2 there: input 0 was meant for the 8259s.
        ioAPIC.setLine(input == 0 ? 2 : input, high)
    }

    public var wantsInterrupt: Bool {
        localAPIC.wantsInterrupt || interrupts.wantsInterrupt && localAPIC.passesExternal
    }

    /// The processor takes the interrupt: its vector.
    public func acknowledge() -> UInt8 {
        localAPIC.wantsInterrupt ? localAPIC.acknowledge() : interrupts.acknowledge()
    }

    /// When something is due, in nanoseconds of the monotonic clock.
    public var nextEvent: UInt64? {
        [timer.nextEvent, clock.nextEvent, localAPIC.nextEvent].compactMap(\.self).min()
    }

    /// Does what is due.
    public func advance(to now: UInt64) {
        serial.flush()
        guard now >= quietUntil else { return }
        timer.advance(to: now)
        clock.advance()
        localAPIC.advance(to: now)
        quietUntil = nextEvent ?? .max
    }
}

/// How the interrupt pins of PCI devices reach the controllers: each device has one pin, eight inputs that no
/// other part of the platform uses share them.
public enum PCIRoute {
    public static let inputs = [10, 11, 5, 7, 12, 14, 15, 6]

    /// The input of the device in `slot`.
    public static func input(slot: Int) -> Int { inputs[(slot - 1) & 7] }
}

extension Platform: InterruptLines {
    /// `irq` is the device's slot.
    public func raise(irq: Int) { setDevice(irq, true) }
    public func lower(irq: Int) { setDevice(irq, false) }

    private func setDevice(_ slot: Int, _ high: Bool) {
        let bit = UInt32(1) << UInt32(slot & 31)
        raisedDevices = high ? raisedDevices | bit : raisedDevices & ~bit
        let input = PCIRoute.input(slot: slot)
        // Those that share an input have numbers eight apart.
        let sharers = UInt32(0x0101_0101) << UInt32(slot & 7)
        setLine(input, raisedDevices & sharers != 0)
    }
}

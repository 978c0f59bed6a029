// SPDX-License-Identifier: Apache-2.0
//
// The architecture itself as guest interface: a stock kernel in ring 0 with its own IDT, TSS and page tables, on
// the `Platform` of a PC. Traps go where the guest's tables send them; nothing is reflected or emulated here. What
// a hypervisor adds is KVM's paravirtual interface (`Paravirtual.swift`), which every distribution's kernel knows.

import Devices
import Engine
import GuestMemory
import Support
import X86

/// What a bare guest needs from the machine.
public struct BareServices {
    public var memory: GuestMemory
    public var platform: Platform
    public var clock: any HostClock
    /// The guest's time-stamp counter now, in nanoseconds.
    public var timestamp: () -> UInt64
    /// Time in which the guest would have run, but the host did not let it: nanoseconds since the start.
    public var stolenTime: () -> UInt64 = { 0 }
    public var start: StartProtocol
    /// GPAs of the descriptor table that boot code may use.
    public var bootGDT: Range<UInt32>

    public init(
        memory: GuestMemory, platform: Platform, clock: any HostClock, timestamp: @escaping () -> UInt64,
        start: StartProtocol, bootGDT: Range<UInt32>
    ) {
        self.memory = memory
        self.platform = platform
        self.clock = clock
        self.timestamp = timestamp
        self.start = start
        self.bootGDT = bootGDT
    }
}

/// How the kernel is entered.
public enum StartProtocol: Sendable {
    /// Linux's 32-bit boot protocol: the GPA of the boot parameters, for ESI.
    case linux(UInt32)
    /// PVH: the GPA of the start info, for EBX.
    case pvh(UInt32)
}

public final class BareInterface: GuestInterface, EdgeHandler {
    let services: BareServices
    var platform: Platform { services.platform }
    @exclusivity(unchecked) public internal(set) var counters = InterfaceCounters()
    @exclusivity(unchecked) var isHalted = false
    @exclusivity(unchecked) var requestedEnd: GuestEnd?
    /// What `attend` has met, for the run loop.
    private var keptDeath: GuestDeath?
    /// The processor, once it has been started.
    var processor: CPU?
    var paravirtual = ParavirtualState()

    public init(_ services: BareServices) {
        self.services = services
        platform.interruptsChanged = { [unowned self] in interruptsChanged() }
        platform.power.request = { [unowned self] request in
            requestedEnd = request == .powerOff ? .powerOff : .restart
            processor?.attention |= Attention.stop
        }
    }

    public var nextTimer: UInt64? { platform.nextEvent }

    public var details: [CounterReading] { [] }

    public func handle(_ exit: Exit, _ cpu: CPU) throws(GuestDeath) -> Disposition {
        switch exit {
        case .budget, .edge: break
        case .exception(let fault):
            counters.traps[Int(fault.vector)] += 1
            try check(cpu.raise(fault), after: fault.vector, cpu)
        case .softwareInterrupt(let vector, let length):
            counters.traps[Int(vector)] += 1
            try check(cpu.raiseSoftwareInterrupt(vector, length: length), after: vector, cpu)
        case .vmcall: hypercall(cpu)
        case .halt: halt(cpu)
        case .debugTrap:
            counters.traps[Int(Vector.debug)] += 1
            try check(cpu.raise(Fault(vector: Vector.debug)), after: Vector.debug, cpu)
        }
        if case .edge = exit, let keptDeath { throw keptDeath }
        if let requestedEnd {
            platform.serial.flush()
            return .end(requestedEnd)
        }
        return isHalted ? .halt : .run
    }

    public func attend(_ exit: Exit, _ cpu: CPU) -> Bool {
        do throws(GuestDeath) {
            return try handle(exit, cpu) == .run && cpu.attention == 0
        } catch {
            keptDeath = error
            return false
        }
    }

    /// HLT. With interrupts off nothing can wake the processor again: "System halted".
    private func halt(_ cpu: CPU) {
        if cpu.eflagsOther & EFLAGS.interrupt == 0 {
            requestedEnd = .powerOff
        } else {
            isHalted = true
        }
    }

    /// A shutdown (triple fault) is how kernels reset a PC as the last resort: with an empty IDT. Any other is
    /// the end of the guest.
    func check(_ delivery: Delivery, after vector: UInt8, _ cpu: CPU) throws(GuestDeath) {
        guard delivery == .shutdown else { return }
        if cpu.system.idtLimit == 0 {
            requestedEnd = .restart
            return
        }
        platform.serial.flush()
        throw GuestDeath(
            "triple fault: trap \(vector) at \(cpu.eip.hex) could not be delivered, nor could the double fault",
            suggestion: "the IDT, the TSS, or the stack that it names is not usable; see CR3 and ESP")
    }
}

extension BareInterface {
    public func deliverInterrupts(_ cpu: CPU, now: UInt64) throws(GuestDeath) -> Bool {
        platform.advance(to: now)
        if paravirtual.stealTime & 1 != 0, now >= paravirtual.nextStealTime { writeStealTime(now) }
        guard platform.wantsInterrupt else { return !isHalted }
        guard cpu.eflagsOther & EFLAGS.interrupt != 0 else { return !isHalted }
        if isHalted {
            isHalted = false
            cpu.system.interruptShadow = false
        } else if cpu.system.interruptShadow {
            // One more instruction first: the engine carries it out when it looks at this.
            cpu.attention |= Attention.interrupt
            return true
        }
        counters.interrupts += 1
        let vector = platform.acknowledge()
        try check(cpu.raiseInterrupt(vector), after: vector, cpu)
        return true
    }

    /// Only what can be delivered now; for the rest `interruptWaits` brings control back in time.
    public var hasWaitingInterrupts: Bool {
        guard let processor else { return false }
        return processor.system.interruptWaits && processor.eflagsOther & EFLAGS.interrupt != 0
    }

    private func interruptsChanged() {
        guard let cpu = processor else { return }
        let waits = platform.wantsInterrupt
        cpu.system.interruptWaits = waits
        if waits, cpu.eflagsOther & EFLAGS.interrupt != 0 { cpu.attention |= Attention.interrupt }
    }
}

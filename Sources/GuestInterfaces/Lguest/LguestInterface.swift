// SPDX-License-Identifier: Apache-2.0
//
// The lguest guest interface: a Linux kernel that knows it is a guest runs in ring 1, asks for
// privileged things with `int $0x1f`, and gets its traps and interrupts reflected by us.
// This file holds the state and sorts the engine's exits; the other files of this folder are the parts.

import Devices
import Engine
import GuestMemory
import Support
import Tap
import X86

/// What an lguest guest needs from the machine.
public struct LguestServices {
    public var memory: GuestMemory
    public var ports: PortBus
    public var clock: any HostClock
    /// Frequency of the guest's time-stamp counter in kHz, as `timestampCounter` ticks.
    public var tscKHz: UInt32
    /// Prints what a guest without a console driver has to say.
    public var earlyConsole: ([UInt8]) -> Void
    /// First guest-physical address that tables built by us must stay below (initrd or end of RAM).
    public var hostTablesEnd: UInt64
    /// Whether the kernel's symbols show that it uses PAE (only asked for kernels up to 3.0).
    public var kernelLooksPAE: Bool
    /// The devices of guests before 4.0, if there are any.
    public var devicePage: DevicePage?
    /// The devices of Linux 2.6.23, which is known by its signature.
    public var dma: LguestDMABus?
    public var signature: SignatureEntry?

    public init(
        memory: GuestMemory, ports: PortBus, clock: any HostClock, tscKHz: UInt32,
        earlyConsole: @escaping ([UInt8]) -> Void, hostTablesEnd: UInt64, kernelLooksPAE: Bool
    ) {
        self.memory = memory
        self.ports = ports
        self.clock = clock
        self.tscKHz = tscKHz
        self.earlyConsole = earlyConsole
        self.hostTablesEnd = hostTablesEnd
        self.kernelLooksPAE = kernelLooksPAE
    }
}

public final class LguestInterface: GuestInterface, EdgeHandler {
    let services: LguestServices
    var memory: GuestMemory { services.memory }
    /// What has crossed here; generated code counts the system calls that it delivers by itself.
    @exclusivity(unchecked) var tally = InterfaceCounters()
    /// By hypercall number, ring entries included.
    @exclusivity(unchecked) var hypercallCounts = [UInt64](repeating: 0, count: 20)
    @exclusivity(unchecked) var queuedHypercalls: UInt64 = 0

    /// Nil before the start.
    var cpu: CPU?
    /// Nil before LGUEST_INIT.
    @exclusivity(unchecked) var data: LguestData?
    @exclusivity(unchecked) var abi = LguestABI()
    /// Gates as stored by LOAD_IDT_ENTRY; 0 is "not present".
    @exclusivity(unchecked) var idt = InlineArray<256, UInt64>(repeating: 0)
    /// The gate that the guest has for NMIs: not in `idt`, since the guest's own `int $2` must not find it.
    var nonMaskableGate: UInt64 = 0
    /// Stack for traps from ring 3, as SET_STACK gave it.
    @exclusivity(unchecked) var stackSelector: UInt16 = 0
    @exclusivity(unchecked) var stackPointer: UInt32 = 0
    /// The segments that traps enter, as last checked.
    @exclusivity(unchecked) var kernelStack: SegmentRegister?
    @exclusivity(unchecked) var kernelCode: SegmentRegister?
    @exclusivity(unchecked) var ringCursor: UInt32 = 0
    /// Where devices raise interrupts. An object of its own: whoever is referenced weakly is slow to use.
    public let lines = LguestInterruptLines()
    @exclusivity(unchecked) var isHalted = false
    /// The guest could not even begin.
    var startFailure: GuestDeath?
    /// Set by SHUTDOWN.
    @exclusivity(unchecked) var requestedEnd: GuestEnd?
    /// When the clock event fires, in monotonic nanoseconds.
    @exclusivity(unchecked) var clockEvent: UInt64?
    /// The processor's own from `start` on.
    @exclusivity(unchecked) var tap = TraceTap()
    /// Number of the first of our kinds of events.
    @exclusivity(unchecked) var firstKind = 0

    /// What `attend` could not throw.
    @exclusivity(unchecked) private var keptDeath: GuestDeath?
    /// Set where the machine has to look before guest code goes on.
    @exclusivity(unchecked) var wantsMachine = false

    public init(_ services: LguestServices) {
        self.services = services
        lines.interface = self
    }

    public var nextTimer: UInt64? { clockEvent }

    public var counters: InterfaceCounters {
        var all = tally
        if let cpu { all.traps[Int(SystemCallGate.vector)] += cpu.system.systemCall.delivered }
        return all
    }

    public var details: [CounterReading] {
        let calls = LguestCall.allCases.map {
            CounterReading(.hypercalls, label: $0.name, hypercallCounts[Int($0.rawValue)])
        }
        return calls.filter { $0.value > 0 } + [CounterReading(.queuedHypercalls, queuedHypercalls)]
    }

    public func handle(_ exit: Exit, _ cpu: CPU) throws(GuestDeath) -> Disposition {
        switch exit {
        case .budget: break
        case .exception(let fault): try handleFault(fault, cpu)
        case .softwareInterrupt(let vector, let length): try softwareInterrupt(vector, length, cpu)
        case .vmcall:
            if cpu.cpl == 1 {
                try hypercall(cpu, length: 3, byVMCall: true)
            } else {
                try handleFault(.invalidOpcode, cpu)
            }
        case .halt:
            // HLT at privilege 0: our guests are never there.
            throw GuestDeath("HLT at privilege level 0")
        case .debugTrap: try reflect(Vector.debug, errorCode: nil, cpu)
        case .edge:
            if let death = keptDeath { throw death }
        }
        if let requestedEnd { return .end(requestedEnd) }
        return isHalted ? .halt : .run
    }

    deinit { lines.interface = nil }

    public func attend(_ exit: Exit, _ cpu: CPU) -> Bool {
        wantsMachine = false
        do throws(GuestDeath) {
            return try handle(exit, cpu) == .run && pendingInterrupts == 0 && !wantsMachine
        } catch {
            keptDeath = error
            return false
        }
    }

    /// Every misbehaviour that ends a guest is made here.
    func kill(_ reason: String, suggestion: String? = nil, topic: String? = nil) -> GuestDeath {
        GuestDeath(reason, suggestion: suggestion, topic: topic)
    }
}

/// What differs between the generations of the ABI apart from the layout of the shared page.
struct LguestABI: Equatable {
    /// Arguments in EDX, EBX, ECX (up to 2.6.29) or EBX, ECX, EDX, ESI.
    var argumentsStartInEDX = false
    /// Whether a queued call has EDX before EBX and ECX.
    var ringHasEDXFirst = false
    var isPAE = false
    /// Whether NEW_PGTABLE has ended the 1:1 mode.
    var hasPageTables = false
    /// PAGE_OFFSET of the guest.
    var kernelAddress: UInt32 = 0xC000_0000
}

extension UInt32 {
    /// As in a report: `0xc0100000`.
    var hex: String {
        let digits = String(self, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}

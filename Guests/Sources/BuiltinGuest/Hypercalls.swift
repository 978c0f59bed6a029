// SPDX-License-Identifier: Apache-2.0
//
// Hypercalls: how a guest asks its hypervisor for what ring 0 would do itself. The number goes into EAX,
// arguments into EBX, ECX, EDX, ESI, then `int $0x1F`. None returns anything. They are counted, so that
// `hypercalls` in the shell can show what the guest has been doing.
import Machine

enum Hypercall: UInt32 {
    case flushAsync = 0
    case initialise = 1
    case shutdown = 2
    case newPageTable = 4
    case flushTLB = 5
    case loadIDTEntry = 6
    case setStack = 7
    case taskSwitched = 8
    case setClockEvent = 9
    case halt = 10
    case setMiddleEntry = 13
    case setPageTableEntry = 14
    case setTopEntry = 15
    case loadTLS = 16
    case notify = 17
    case loadGDTEntry = 18
    case sendInterrupts = 19

    /// The name that the ABI gives it.
    var name: StaticString {
        switch self {
        case .flushAsync: "FLUSH_ASYNC"
        case .initialise: "LGUEST_INIT"
        case .shutdown: "SHUTDOWN"
        case .newPageTable: "NEW_PGTABLE"
        case .flushTLB: "FLUSH_TLB"
        case .loadIDTEntry: "LOAD_IDT_ENTRY"
        case .setStack: "SET_STACK"
        case .taskSwitched: "TS"
        case .setClockEvent: "SET_CLOCKEVENT"
        case .halt: "HALT"
        case .setMiddleEntry: "SET_PMD"
        case .setPageTableEntry: "SET_PTE"
        case .setTopEntry: "SET_PGD"
        case .loadTLS: "LOAD_TLS"
        case .notify: "NOTIFY"
        case .loadGDTEntry: "LOAD_GDT_ENTRY"
        case .sendInterrupts: "SEND_INTERRUPTS"
        }
    }

    static let numbers: UInt32 = 20

    /// How often each number was called; the first two calls were made by Start.S.
    nonisolated(unsafe) private(set) static var counts = {
        var counts = InlineArray<20, UInt32>(repeating: 0)
        counts[1] = 1
        counts[4] = 1
        return counts
    }()

    /// How many of them went through the asynchronous ring instead of trapping.
    nonisolated(unsafe) static var queued: UInt32 = 0

    func count() { Hypercall.counts[Int(rawValue)] &+= 1 }

    @discardableResult
    func callAsFunction(_ a1: UInt32 = 0, _ a2: UInt32 = 0, _ a3: UInt32 = 0, _ a4: UInt32 = 0) -> UInt32 {
        count()
        return instruction_hypercall(rawValue, a1, a2, a3, a4)
    }
}

/// The calls as the rest of the guest uses them, with their arguments named.
enum Hypervisor {
    enum ShutdownReason: UInt32 {
        /// Power off; also a crash, which differs only by its text.
        case powerOff = 1
        case restart = 2
    }

    static func shutdown(_ text: Text, _ reason: ShutdownReason) -> Never {
        Console.flush()
        let buffer = VirtualAddress(value: shutdown_text_address())
        for position in 0..<128 {
            let index = UInt32(position)
            Memory.write8(buffer + index, position < min(text.count, 127) ? text[position] : 0)
        }
        while true { Hypercall.shutdown(buffer.physical.value, reason.rawValue) }
    }

    static func powerOff() -> Never { shutdown("Power down", .powerOff) }

    static func setStack(top: VirtualAddress, pages: UInt32) {
        Hypercall.setStack(UInt32(KERNEL_DATA), top.value, pages)
    }

    /// While set, the next use of the floating-point unit raises #NM.
    static func setTaskSwitched(_ on: Bool) { Hypercall.taskSwitched(on ? 1 : 0) }

    /// Interrupt 0, once, that many nanoseconds from now; 0 cancels.
    static func setClockEvent(nanoseconds: UInt32) { Hypercall.setClockEvent(nanoseconds) }

    /// Sleeps until an interrupt that is not blocked arrives, even when interrupts are disabled.
    static func halt() { Hypercall.halt() }
}

// SPDX-License-Identifier: Apache-2.0
//
// What happens when the processor stops: faults, breakpoints, system calls, interrupts. The hypervisor
// receives them all first and reflects them to us through the gates we gave it, with the stack laid out as
// the processor would have done. TrapEntries.S saves the registers and calls `handle`.
import Machine

typealias TrapFrame = trap_frame

/// What is worth remembering of a trap.
struct TrapRecord {
    var vector: UInt32 = 0xFFFF
    var error: UInt32 = 0
    var eip: UInt32 = 0
    var cs: UInt32 = 0
    var eflags: UInt32 = 0
    /// The faulting address; meaningful for page faults.
    var cr2: UInt32 = 0
    /// The virtual interrupt flag as the handler found it.
    var irqEnabled: UInt32 = 0
    var handlerCS: UInt32 = 0
    var handlerEFLAGS: UInt32 = 0
    /// Where the hypervisor's frame begins (the word with EIP).
    var frameAddress: UInt32 = 0
    var eax: UInt32 = 0
    var ecx: UInt32 = 0
    var esi: UInt32 = 0
    var edi: UInt32 = 0
    /// Only from ring 3.
    var userESP: UInt32 = 0
    var userSS: UInt32 = 0
}

enum Traps {
    /// What to do about a trap in our own code, ring 1.
    enum Mode {
        /// It is a mistake: say what happened and stop.
        case fatal
        /// It was provoked: remember it and give up the fragment that did it.
        case abandon
        /// It was provoked: remember it and go on behind it.
        case resume
    }

    nonisolated(unsafe) static var mode = Mode.fatal
    nonisolated(unsafe) static var last = TrapRecord()
    /// Traps since the latest `Probe` began.
    nonisolated(unsafe) static var seen: UInt32 = 0
    /// How often each vector was taken; the last place is the system call.
    nonisolated(unsafe) static var counts = InlineArray<49, UInt32>(repeating: 0)

    static func install() {
        IDT.load()
        Hypervisor.setStack(top: VirtualAddress(value: trap_stack_top_address()), pages: 2)
    }

    /// Called with the frame that the way back will restore: changing it changes where and how we return.
    static func handle(_ frame: inout TrapFrame, at address: UInt32) {
        let irqEnabled = SharedPage.irqEnabled
        let vector = frame.vector
        counts[vector < 48 ? Int(vector) : 48] &+= 1

        if vector >= Interrupts.firstVector, vector < Interrupts.firstVector + Interrupts.lines {
            Interrupts.arrived(vector - Interrupts.firstVector, frame)
            return
        }
        let cr2 = SharedPage.pageFaultAddress
        if vector == 14, DemandPaging.resolve(VirtualAddress(value: cr2), error: frame.error) { return }
        if vector == UInt32(SYSTEM_CALL_VECTOR), UserMode.systemCall(&frame) { return }

        last = record(frame, at: address, cr2: cr2, irqEnabled: irqEnabled)
        seen &+= 1
        if frame.cs & 3 == 3 {
            UserMode.leave(&frame)
            return
        }
        switch mode {
        case .resume:
            frame.eflags &= ~0x100  // no further single steps
        case .abandon:
            mode = .fatal  // a trap on the way out would be a real one
            frame.eip = probe_abandon_address()
            frame.eflags &= ~0x100
        case .fatal:
            die(last)
        }
    }

    private static func record(
        _ frame: TrapFrame, at address: UInt32, cr2: UInt32, irqEnabled: UInt32
    ) -> TrapRecord {
        var record = TrapRecord()
        record.vector = frame.vector
        record.error = frame.error
        record.eip = frame.eip
        record.cs = frame.cs
        record.eflags = frame.eflags
        record.cr2 = cr2
        record.irqEnabled = irqEnabled
        record.handlerCS = instruction_code_segment()
        record.handlerEFLAGS = instruction_eflags()
        record.frameAddress = address &+ 14 * 4
        record.eax = frame.eax
        record.ecx = frame.ecx
        record.esi = frame.esi
        record.edi = frame.edi
        if frame.cs & 3 == 3 {
            record.userESP = frame.user_esp
            record.userSS = frame.user_ss
        }
        return record
    }

    static func die(_ trap: TrapRecord) -> Never {
        mode = .fatal
        let place: Text = "at \(hex: trap.eip), error \(hex: trap.error), address \(hex: trap.cr2)"
        Hypervisor.shutdown("builtin guest: unexpected \(name(trap.vector)) \(place)", .powerOff)
    }

    static func name(_ vector: UInt32) -> StaticString {
        switch vector {
        case 0: "#DE divide error"
        case 1: "#DB debug"
        case 3: "#BP breakpoint"
        case 4: "#OF overflow"
        case 5: "#BR bound range"
        case 6: "#UD undefined opcode"
        case 7: "#NM no coprocessor"
        case 8: "#DF double fault"
        case 10: "#TS invalid TSS"
        case 11: "#NP segment not present"
        case 12: "#SS stack fault"
        case 13: "#GP general protection"
        case 14: "#PF page fault"
        case 16: "#MF floating point"
        case 17: "#AC alignment check"
        case 19: "#XM SIMD floating point"
        case 32: "IRQ 0 timer"
        case 33: "IRQ 1 console"
        case 48, 128: "int 0x80 system call"
        default: "other vector"
        }
    }
}

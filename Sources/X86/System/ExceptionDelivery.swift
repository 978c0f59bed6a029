// SPDX-License-Identifier: Apache-2.0
//
// Delivery of exceptions and interrupts through the guest's own IDT, as the processor does it
// (Intel SDM volume 3, chapter 6). Guest interfaces that reflect traps themselves do not use this.

import Tap

/// Where an event came from: decides the privilege check and the EXT bit of nested error codes.
public enum EventSource: Sendable {
    case software, exception, interrupt
}

/// How the delivery of an exception ended.
public enum Delivery: Equatable, Sendable {
    /// At the first instruction of a handler: that of the exception itself, or of one on the way to it.
    case entered
    /// A fault on the way to the double-fault handler: the processor stops, as a PC does before it resets.
    case shutdown
}

extension CPU {
    /// Delivers an exception, whatever happens on the way: a fault in its delivery is delivered in turn, two
    /// that cannot be handled one after the other become #DF, a third one is a shutdown (SDM volume 3, 6.15).
    public func raise(_ fault: Fault) -> Delivery {
        var current = fault
        // Exceptions of no class follow each other for ever: #AC in the delivery of #AC hung real processors
        // (CVE-2015-5307, CVE-2015-8104). A few are enough.
        for _ in 0..<8 {
            if current.vector == Vector.pageFault { system.cr2 = current.address }
            do throws(Fault) {
                let error = current.hasErrorCode ? current.errorCode : nil
                try deliver(vector: current.vector, errorCode: error, source: .exception)
                return .entered
            } catch {
                if current.vector == Vector.doubleFault { return .shutdown }
                let double = CPU.isDouble(current.vector, error.vector)
                current = double ? Fault(vector: Vector.doubleFault) : error
            }
        }
        return .shutdown
    }

    /// Carries out INT n, INT3 or INTO, `length` bytes long at EIP, through the IDT.
    public func raiseSoftwareInterrupt(_ vector: UInt8, length: UInt8) -> Delivery {
        let start = eip
        do throws(Fault) {
            eip = start &+ UInt32(length)
            try deliver(vector: vector, errorCode: nil, source: .software)
            return .entered
        } catch {
            eip = start
            return raise(error)
        }
    }

    /// Delivers an interrupt from outside. The caller has looked at EFLAGS.IF and the interrupt shadow.
    public func raiseInterrupt(_ vector: UInt8) -> Delivery {
        do throws(Fault) {
            try deliver(vector: vector, errorCode: nil, source: .interrupt)
            return .entered
        } catch {
            return raise(error)
        }
    }

    /// Whether a fault during the delivery of another makes a double fault (SDM volume 3, table 6-5).
    static func isDouble(_ first: UInt8, _ second: UInt8) -> Bool {
        func contributes(_ vector: UInt8) -> Bool {
            switch vector {
            case Vector.divideError, Vector.invalidTSS, Vector.segmentNotPresent, Vector.stackFault,
                Vector.generalProtection:
                true
            default: false
            }
        }
        if first == Vector.pageFault { return second == Vector.pageFault || contributes(second) }
        return contributes(first) && contributes(second)
    }

    /// Pushes the frame and enters the handler of `vector`. For a software interrupt, EIP must already be
    /// behind the instruction; when the delivery itself faults, the caller puts it back.
    public func deliver(vector: UInt8, errorCode: UInt32?, source: EventSource) throws(Fault) {
        guard !traces(.trap | .syscall | .irq) else { return try deliverTraced(vector, errorCode, source) }
        try enterHandler(of: vector, errorCode, source)
    }

    func enterHandler(
        of vector: UInt8, _ errorCode: UInt32?, _ source: EventSource
    ) throws(Fault) {
        let external: UInt32 = source == .software ? 0 : 1
        let gate = try interruptGate(vector, source, external)
        if gate.type == Descriptor.SystemType.task {
            try switchTask(to: gate.gateSelector, .event(errorCode: errorCode), next: eip)
            return
        }
        let selector = gate.gateSelector
        guard selector & 0xFFFC != 0 else { throw .generalProtection(external) }
        let wrong = Fault.generalProtection(UInt32(selector & 0xFFFC) | external)
        let code = try readDescriptor(selector, orThrow: wrong)
        guard code.isCode, code.dpl <= cpl else { throw wrong }
        guard code.isPresent else {
            throw Fault(vector: Vector.segmentNotPresent, errorCode: UInt32(selector & 0xFFFC) | external)
        }
        let wide = gate.type >= Descriptor.SystemType.interrupt32
        let size: UInt8 = wide ? 4 : 2
        let target = wide ? gate.gateOffset : gate.gateOffset & 0xFFFF
        let flags = eflags
        // RF in the image lets the instruction start again without meeting its breakpoint again.
        let image = source == .exception && CPU.isFault(vector) ? flags | EFLAGS.rf : flags
        let oldCode = UInt32(self[segment: SegmentIndex.cs].selector)
        let oldEIP = eip
        func frame(_ start: UInt32) throws(Fault) -> UInt32 {
            var top = try pushed(start, image, size: size)
            top = try pushed(top, oldCode, size: size)
            top = try pushed(top, oldEIP, size: size)
            if let errorCode { top = try pushed(top, errorCode, size: size) }
            return top
        }
        if !code.isConforming && code.dpl < cpl {
            try switchStack(to: code.dpl, external: external) {
                (pointer: UInt32, ss: UInt32, esp: UInt32) throws(Fault) in
                let top = try frame(try pushed(try pushed(pointer, ss, size: size), esp, size: size))
                guard target <= code.limit else { throw .generalProtection(external) }
                return top
            }
            try commitCode(selector, code, level: code.dpl)
        } else {
            let top = try frame(stackPointer)
            guard target <= code.limit else { throw .generalProtection(external) }
            try commitCode(selector, code, level: cpl)
            stackPointer = top
        }
        eip = target
        var cleared = EFLAGS.tf | EFLAGS.nt | EFLAGS.rf | EFLAGS.vm
        if gate.type & 1 == 0 { cleared |= EFLAGS.interrupt }
        setEFLAGS(flags & ~cleared)
        recordBranch(to: eip)
    }

    /// The gate of `vector` after its checks.
    private func interruptGate(
        _ vector: UInt8, _ source: EventSource, _ external: UInt32
    ) throws(Fault) -> Descriptor {
        let reference = UInt32(vector) << 3 | 2
        let error = Fault.generalProtection(reference | external)
        guard UInt32(vector) * 8 + 7 <= system.idtLimit else { throw error }
        let gate = Descriptor(try loadSystem(system.idtBase &+ UInt32(vector) * 8, as: UInt64.self))
        typealias Kind = Descriptor.SystemType
        let kinds = [Kind.task, Kind.interrupt16, Kind.trap16, Kind.interrupt32, Kind.trap32]
        guard !gate.isSegment, kinds.contains(gate.type) else { throw error }
        if source == .software && gate.dpl < cpl { throw error }
        guard gate.isPresent else {
            throw Fault(vector: Vector.segmentNotPresent, errorCode: reference | external)
        }
        return gate
    }

    /// Exceptions whose frame names the instruction itself; #DB is a fault only for an instruction
    /// breakpoint, and then RF does no harm.
    static func isFault(_ vector: UInt8) -> Bool {
        switch vector {
        case Vector.nonMaskable, Vector.breakpoint, Vector.overflow, Vector.doubleFault, Vector.machineCheck:
            false
        default: true
        }
    }
}

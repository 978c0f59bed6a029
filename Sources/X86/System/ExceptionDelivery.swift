// SPDX-License-Identifier: Apache-2.0
//
// Delivery of exceptions and interrupts through the guest's own IDT, as the processor does it
// (Intel SDM volume 3, chapter 6). Guest interfaces that reflect traps themselves do not use this.

/// Where an event came from: decides the privilege check and the EXT bit of nested error codes.
public enum EventSource: Sendable {
    case software, exception, interrupt
}

extension CPU {
    /// Pushes the frame and enters the handler of `vector`. For a software interrupt, EIP must already be
    /// behind the instruction, and `faultEIP` at it, in case the delivery itself faults.
    public func deliver(vector: UInt8, errorCode: UInt32?, source: EventSource) throws(Fault) {
        let external: UInt32 = source == .software ? 0 : 1
        let reference = UInt32(vector) << 3 | 2
        let error = Fault.generalProtection(reference | external)
        guard UInt32(vector) * 8 + 7 <= system.idtLimit else { throw error }
        let gate = Descriptor(try loadSystem(system.idtBase &+ UInt32(vector) * 8, as: UInt64.self))
        typealias Kind = Descriptor.SystemType
        let kinds: [UInt8] = [Kind.interrupt16, Kind.trap16, Kind.interrupt32, Kind.trap32]
        guard !gate.isSegment, kinds.contains(gate.type) else { throw error }
        if source == .software && gate.dpl < cpl { throw error }
        guard gate.isPresent else {
            throw Fault(vector: Vector.segmentNotPresent, errorCode: reference | external)
        }
        let selector = gate.gateSelector
        guard selector & 0xFFFC != 0 else { throw .generalProtection(external) }
        let wrong = Fault.generalProtection(UInt32(selector & 0xFFFC) | external)
        let code = try readDescriptor(selector, orThrow: wrong)
        guard code.isCode, code.dpl <= cpl else { throw wrong }
        guard code.isPresent else {
            throw Fault(vector: Vector.segmentNotPresent, errorCode: UInt32(selector & 0xFFFC) | external)
        }
        let wide = gate.type >= Kind.interrupt32
        let size: UInt8 = wide ? 4 : 2
        let image = eflags
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
            try switchStack(to: code.dpl, external: external != 0) {
                (pointer: UInt32, ss: UInt32, esp: UInt32) throws(Fault) in
                try frame(try pushed(try pushed(pointer, ss, size: size), esp, size: size))
            }
            try commitCode(selector, code, level: code.dpl)
        } else {
            let top = try frame(stackPointer)
            try commitCode(selector, code, level: cpl)
            stackPointer = top
        }
        eip = wide ? gate.gateOffset : gate.gateOffset & 0xFFFF
        var flags = image & ~(EFLAGS.tf | EFLAGS.nt | EFLAGS.rf | EFLAGS.vm)
        if gate.type & 1 == 0 { flags &= ~EFLAGS.interrupt }
        setEFLAGS(flags)
        recordBranch(to: eip)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Jumps, calls, returns, loops. EIP is set here in all cases.

extension CPU {
    func executeBranch(_ i: Instruction, _ next: UInt32) throws(Fault) {
        let size = i.operandSize
        switch i.operation {
        case .jcc:
            if condition(i.condition) { try branch(next &+ i.immediate, size) } else { eip = next }
        case .jmp:
            try branch(try nearTarget(i, next), size)
        case .call:
            let target = try nearTarget(i, next)
            try checkTarget(target)
            try push(next, size: size)
            try branch(target, size)
        case .ret:
            let pointer = stackPointer
            let target = try stackElement(pointer, size: size)
            try checkTarget(target)
            stackPointer = stackOffset(pointer, Int32(size) + Int32(i.immediate & 0xFFFF))
            try branch(target, size)
        case .jcxz:
            let count = i.addressSize == 2 ? UInt32(self[r16: GPR.ecx]) : self[r32: GPR.ecx]
            if count == 0 { try branch(next &+ i.immediate, size) } else { eip = next }
        case .loop, .loope, .loopne: try loop(i, next)
        case .jmpFar: try jumpFar(i)
        case .callFar: try callFar(i, next)
        case .retFar: try returnFar(i)
        case .iret: try interruptReturn(i)
        default: try bound(i, next)
        }
    }

    private func loop(_ i: Instruction, _ next: UInt32) throws(Fault) {
        let count: UInt32
        if i.addressSize == 2 {
            count = UInt32(self[r16: GPR.ecx] &- 1)
        } else {
            count = self[r32: GPR.ecx] &- 1
        }
        let goesOn =
            switch i.operation {
            case .loope: count != 0 && zero
            case .loopne: count != 0 && !zero
            default: count != 0
            }
        if goesOn { try branch(next &+ i.immediate, i.operandSize) } else { eip = next }
        if i.addressSize == 2 {
            self[r16: GPR.ecx] = UInt16(truncatingIfNeeded: count)
        } else {
            self[r32: GPR.ecx] = count
        }
    }

    private func bound(_ i: Instruction, _ next: UInt32) throws(Fault) {
        let size = UInt32(i.operandSize)
        let outside: Bool
        if size == 2 {
            let value = Int16(bitPattern: self[r16: Int(i.destination.index)])
            let low = Int16(bitPattern: try loadPart(i, at: 0))
            let high = Int16(bitPattern: try loadPart(i, at: size))
            outside = value < low || value > high
        } else {
            let value = Int32(bitPattern: self[r32: Int(i.destination.index)])
            let low = Int32(bitPattern: try loadPart(i, at: 0))
            let high = Int32(bitPattern: try loadPart(i, at: size))
            outside = value < low || value > high
        }
        if outside { throw Fault(vector: Vector.boundRange) }
        eip = next
    }

    private func nearTarget(_ i: Instruction, _ next: UInt32) throws(Fault) -> UInt32 {
        let target: UInt32
        switch i.destination.kind {
        case .relative: target = next &+ i.immediate
        default:
            if i.operandSize == 2 {
                target = UInt32(try read(i.destination, i) as UInt16)
            } else {
                target = try read(i.destination, i)
            }
        }
        return i.operandSize == 2 ? target & 0xFFFF : target
    }

    /// #GP(0) for a target outside the code segment.
    @inline(__always)
    func checkTarget(_ target: UInt32) throws(Fault) {
        if mode.contains(.flatCode) { return }
        if target > self[segment: SegmentIndex.cs].limit { throw .generalProtection() }
    }

    private func branch(_ target: UInt32, _ size: UInt8) throws(Fault) {
        let masked = size == 2 ? target & 0xFFFF : target
        try checkTarget(masked)
        recordBranch(to: masked)
        eip = masked
    }
}

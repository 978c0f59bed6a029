// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic, logic, shifts, multiplication, division, bit and decimal instructions.

extension CPU {
    func executeALU(_ i: Instruction) throws(Fault) {
        switch i.destination.size {
        case 1: try executeALU(i, as: UInt8.self)
        case 2: try executeALU(i, as: UInt16.self)
        default: try executeALU(i, as: UInt32.self)
        }
    }

    private func executeALU<T: Word>(_ i: Instruction, as type: T.Type) throws(Fault) {
        switch i.operation {
        case .cmp:
            let a: T = try read(i.destination, i)
            _ = subtract(a, try read(i.source, i))
        case .test:
            let a: T = try read(i.destination, i)
            setLogicFlags(a & (try read(i.source, i)))
        case .inc: try modify(i) { (a: T) in increment(a) }
        case .dec: try modify(i) { (a: T) in decrement(a) }
        case .neg: try modify(i) { (a: T) in subtract(0, a) }
        case .not: try modify(i) { (a: T) in ~a }
        case .shl, .shr, .sar, .rol, .ror, .rcl, .rcr:
            let count = UInt32(try read(i.source, i, as: UInt8.self)) & 31
            try modify(i) { (a: T) in shift(i.operation, a, count) }
        default:
            let b: T = try read(i.source, i)
            try modify(i) { (a: T) in combine(i.operation, a, b) }
        }
    }

    @inline(__always)
    private func combine<T: Word>(_ operation: Operation, _ a: T, _ b: T) -> T {
        let result: T
        switch operation {
        case .add: return add(a, b)
        case .adc: return add(a, b, carry: T(truncatingIfNeeded: carryBit))
        case .sub: return subtract(a, b)
        case .sbb: return subtract(a, b, borrow: T(truncatingIfNeeded: carryBit))
        case .and: result = a & b
        case .or: result = a | b
        default: result = a ^ b
        }
        setLogicFlags(result)
        return result
    }

    private func shift<T: Word>(_ operation: Operation, _ a: T, _ count: UInt32) -> T {
        switch operation {
        case .shl: shiftLeft(a, count)
        case .shr: shiftRight(a, count)
        case .sar: shiftArithmeticRight(a, count)
        case .rol: rotateLeft(a, count)
        case .ror: rotateRight(a, count)
        case .rcl: rotateCarryLeft(a, count)
        default: rotateCarryRight(a, count)
        }
    }

    func executeMultiply(_ i: Instruction) throws(Fault) {
        switch i.operation {
        case .daa, .das, .aaa, .aas, .aam, .aad: try executeDecimal(i)
        case .bswap:
            // With a 16-bit operand the result is undefined; the processors at hand give zero.
            let index = Int(i.destination.index)
            if i.operandSize == 2 {
                self[r16: index] = 0
            } else {
                self[r32: index] = self[r32: index].byteSwapped
            }
        case .cbw:
            if i.operandSize == 2 {
                self[r16: GPR.eax] = UInt16(bitPattern: Int16(Int8(bitPattern: self[r8: GPR.eax])))
            } else {
                self[r32: GPR.eax] = UInt32(bitPattern: Int32(Int16(bitPattern: self[r16: GPR.eax])))
            }
        case .cwd:
            if i.operandSize == 2 {
                self[r16: GPR.edx] = self[r16: GPR.eax] >> 15 == 0 ? 0 : 0xFFFF
            } else {
                self[r32: GPR.edx] = self[r32: GPR.eax] >> 31 == 0 ? 0 : 0xFFFF_FFFF
            }
        default:
            switch i.destination.size {
            case 1: try multiplyOrDivide(i, as: UInt8.self)
            case 2: try multiplyOrDivide(i, as: UInt16.self)
            default: try multiplyOrDivide(i, as: UInt32.self)
            }
        }
    }

    private func multiplyOrDivide<T: Word>(_ i: Instruction, as type: T.Type) throws(Fault) {
        switch i.operation {
        case .mul, .imul1:
            let a: T = readRegister(GPR.eax)
            let b: T = try read(i.destination, i)
            multiplyWide(a, b, signed: i.operation == .imul1)
        case .imul2:
            let b: T = try read(i.source, i)
            writeRegister(Int(i.destination.index), multiplySigned(readRegister(Int(i.destination.index)), b))
        case .imul3:
            let a: T = try read(i.source, i)
            writeRegister(Int(i.destination.index), multiplySigned(a, T(truncatingIfNeeded: i.immediate)))
        case .div, .idiv:
            let divisor: T = try read(i.destination, i)
            try divide(by: divisor, signed: i.operation == .idiv)
        case .bsf, .bsr:
            let value: T = try read(i.source, i)
            // Source zero: the destination stays (AMD documents it, Intel does it).
            if value == 0 {
                setLogicFlags(value)
            } else {
                let bit =
                    i.operation == .bsf
                    ? value.trailingZeroBitCount : T.bitWidth - 1 - value.leadingZeroBitCount
                setLogicFlags(T(truncatingIfNeeded: 1))
                writeRegister(Int(i.destination.index), T(truncatingIfNeeded: bit))
            }
        default:
            let b: T = try read(i.source, i)
            // The count operand is the third: an immediate byte or CL.
            let raw = i.third.kind == .immediate ? i.immediate : UInt32(self[r8: GPR.ecx])
            let count = raw & 31
            try modify(i) { (a: T) in
                i.operation == .shld ? shiftLeftDouble(a, b, count) : shiftRightDouble(a, b, count)
            }
        }
    }

    private func multiplyWide<T: Word>(_ a: T, _ b: T, signed: Bool) {
        let product: UInt64
        let low: T
        let overflow: Bool
        if signed {
            let wide = Int64(Int32(bitPattern: CPU.extended(a))) * Int64(Int32(bitPattern: CPU.extended(b)))
            product = UInt64(bitPattern: wide)
            low = T(truncatingIfNeeded: wide)
            overflow = wide != Int64(Int32(bitPattern: CPU.extended(low)))
        } else {
            product = UInt64(truncatingIfNeeded: a) * UInt64(truncatingIfNeeded: b)
            low = T(truncatingIfNeeded: product)
            overflow = product >> UInt64(T.bitWidth) != 0
        }
        if T.bitWidth == 8 {
            self[r16: GPR.eax] = UInt16(truncatingIfNeeded: product)
        } else {
            writeRegister(GPR.eax, low)
            writeRegister(GPR.edx, T(truncatingIfNeeded: product >> UInt64(T.bitWidth)))
        }
        setFlags(result: low, carry: overflow, overflow: overflow)
    }

    /// DIV and IDIV; all flags are undefined and stay as they are.
    private func divide<T: Word>(by divisor: T, signed: Bool) throws(Fault) {
        guard divisor != 0 else { throw .divideError }
        let width = UInt64(T.bitWidth)
        let low: UInt64 =
            T.bitWidth == 8
            ? UInt64(self[r16: GPR.eax]) & 0xFF : UInt64(truncatingIfNeeded: readRegister(GPR.eax) as T)
        let high: UInt64 =
            T.bitWidth == 8
            ? UInt64(self[r16: GPR.eax] >> 8) : UInt64(truncatingIfNeeded: readRegister(GPR.edx) as T)
        let dividend = high << width | low
        let quotient: UInt64
        let remainder: UInt64
        if signed {
            let shift = 64 - 2 * width
            let number = Int64(bitPattern: dividend << shift) >> Int64(shift)
            let by = Int64(Int32(bitPattern: CPU.extended(divisor)))
            let (q, overflow) = number.dividedReportingOverflow(by: by)
            let half = Int64(1) << Int64(width - 1)
            guard !overflow, q < half, q >= -half else { throw .divideError }
            quotient = UInt64(bitPattern: q)
            remainder = UInt64(bitPattern: number % by)
        } else {
            let by = UInt64(truncatingIfNeeded: divisor)
            quotient = dividend / by
            remainder = dividend % by
            guard quotient >> width == 0 else { throw .divideError }
        }
        if T.bitWidth == 8 {
            self[r16: GPR.eax] = UInt16(truncatingIfNeeded: quotient & 0xFF | (remainder & 0xFF) << 8)
        } else {
            writeRegister(GPR.eax, T(truncatingIfNeeded: quotient))
            writeRegister(GPR.edx, T(truncatingIfNeeded: remainder))
        }
    }

    func executeBitTest(_ i: Instruction) throws(Fault) {
        if i.destination.size == 2 {
            try bitTest(i, as: UInt16.self)
        } else {
            try bitTest(i, as: UInt32.self)
        }
    }

    private func bitTest<T: Word>(_ i: Instruction, as type: T.Type) throws(Fault) {
        let size = UInt32(MemoryLayout<T>.size)
        let offset: UInt32 =
            i.source.kind == .register
            ? CPU.extended(readRegister(Int(i.source.index)) as T) : i.immediate & UInt32(T.bitWidth - 1)
        let bit = T(1) << T(truncatingIfNeeded: offset & UInt32(T.bitWidth - 1))
        func change(_ a: T) -> T {
            switch i.operation {
            case .bts: a | bit
            case .btr: a & ~bit
            case .btc: a ^ bit
            default: a
            }
        }
        if i.destination.kind == .register {
            let a: T = readRegister(Int(i.destination.index))
            if i.operation != .bt { writeRegister(Int(i.destination.index), change(a)) }
            setCarry(a & bit != 0)
            return
        }
        // A register offset reaches beyond the operand: it is signed and counts whole operands.
        let words = UInt32(bitPattern: Int32(bitPattern: offset) >> (T.bitWidth == 16 ? 4 : 5))
        var effective = effectiveAddress(i) &+ words &* size
        if i.addressSize == 2 { effective &= 0xFFFF }
        let address = try linear(Int(i.segment), effective, size: size, write: i.operation != .bt)
        if i.operation != .bt { try probeWrite(address, size) }
        let a: T = try load(address)
        if i.operation != .bt { try store(address, change(a)) }
        setCarry(a & bit != 0)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// One case: the state before, and the bytes to run. And what came of it, on either processor.

import CHostOracle
import X86

/// Selectors of a case, in the order of `SegmentIndex`: ES, CS, SS, DS, FS, GS.
public struct Selectors: Equatable, Sendable {
    public var es = UInt16(ORACLE_DS)
    public var cs = UInt16(ORACLE_CS32)
    public var ss = UInt16(ORACLE_DS)
    public var ds = UInt16(ORACLE_DS)
    public var fs = UInt16(ORACLE_DS)
    public var gs = UInt16(ORACLE_DS)
    public init() {}

    public var list: [UInt16] { [es, cs, ss, ds, fs, gs] }
    public subscript(index: Int) -> UInt16 {
        get { list[index] }
        set {
            switch index {
            case 0: es = newValue
            case 1: cs = newValue
            case 2: ss = newValue
            case 3: ds = newValue
            case 4: fs = newValue
            default: gs = newValue
            }
        }
    }
}

public struct TestCase: Sendable {
    public struct Patch: Sendable, Equatable {
        public var address: UInt32
        public var value: UInt32
    }
    /// Bytes of the window that are not compared.
    public struct Range: Sendable, Equatable {
        public var address: UInt32
        public var count: UInt32
    }
    public var seed: UInt64 = 0
    /// The operation that the case is about (its first instruction's).
    public var operation: Operation = .invalid
    public var gpr = [UInt32](repeating: 0, count: 8)
    public var eflags: UInt32 = 0x202
    /// Offset in CS.
    public var eip: UInt32 = 0x20100
    public var selectors = Selectors()
    /// The bytes of each instruction.
    public var instructions: [[UInt8]] = []
    /// 32-bit words written over the window before the case.
    public var patches: [Patch] = []
    /// Bytes that count as zero after the case, at most `ORACLE_FORGOTTEN` ranges.
    public var forgotten: [Range] = []
    /// FXSAVE image, for cases that look at the x87, MMX and SSE registers.
    public var fpu: [UInt8]?

    /// The image after FNINIT and a reset.
    static let initialFPU: [UInt8] =
        UInt32(0x037F).bytes(24) + UInt32(0x1F80).bytes(8) + [UInt8](repeating: 0, count: 480)

    public init() {}
    public var code: [UInt8] { Array(instructions.joined()) }
    /// Whether CS has 32-bit defaults.
    public var is32: Bool { selectors.cs != UInt16(3 << 3 | 7) }
    /// Whether the end of the bytes ends the case: not where the way out finds no room behind them.
    public var hasEnd: Bool { Int(codeAddress) + code.count + 8 <= Int(ORACLE_CODE + ORACLE_CODE_SIZE) }

    /// The far jump that stands behind the bytes, for those that read their own code.
    public var wayOut: [UInt8] {
        guard hasEnd else { return [] }
        return (is32 ? [] : [0x66]) + [0xEA] + UInt32(ORACLE_EXIT).bytes(4) + [0x33, 0]
    }

    /// Whether SS has 16-bit addresses.
    public var hasSmallStack: Bool { !Subject.descriptor(selectors.ss).register(selector: 0).isBig }

    /// A 16-bit stack cannot choose the upper half of ESP.
    public mutating func normalise() {
        if hasSmallStack { gpr[GPR.esp] = gpr[GPR.esp] & 0xFFFF | UInt32(ORACLE_FRAME) }
    }

    /// Linear address of the first byte.
    public var codeAddress: UInt32 { eip &+ (selectors.cs & 4 != 0 ? UInt32(ORACLE_CODE) : 0) }
}

/// The state after a case.
public struct Outcome: Equatable, Sendable {
    public var gpr = [UInt32](repeating: 0, count: 8)
    public var eflags: UInt32 = 0
    public var eip: UInt32 = 0
    public var selectors = Selectors()
    /// Exception vector, or nil: ran to the end of the bytes.
    public var trap: UInt8?
    public var errorCode: UInt32 = 0
    /// Of a page fault.
    public var address: UInt32 = 0
    public var windowHash: UInt64 = 0
    public var fpu: [UInt8]?

    public init() {}
}

extension oracle_result {
    var outcome: Outcome {
        var o = Outcome()
        o.gpr = [gpr.0, gpr.1, gpr.2, gpr.3, gpr.4, gpr.5, gpr.6, gpr.7]
        o.eflags = eflags
        o.eip = eip
        o.selectors.es = es
        o.selectors.cs = cs
        o.selectors.ss = ss
        o.selectors.ds = ds
        o.selectors.fs = fs
        o.selectors.gs = gs
        o.trap = trap < 0 ? nil : UInt8(truncatingIfNeeded: trap)
        if let trap = o.trap, Fault.pushesErrorCode(trap) { o.errorCode = error_code }
        if o.trap == Vector.pageFault { o.address = cr2 }
        o.windowHash = window_hash
        return o
    }
}

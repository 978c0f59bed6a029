// SPDX-License-Identifier: Apache-2.0
//
// A decoded instruction: everything that the engines, the tracer and the tests need to know, so
// that nobody looks at the bytes again. Fields have room for 64-bit mode.

/// Prefixes as found. REX bits will be added for 64-bit mode.
public struct Prefixes: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let lock = Prefixes(rawValue: 1)
    public static let repeatNotEqual = Prefixes(rawValue: 2)
    public static let repeatEqual = Prefixes(rawValue: 4)
    public static let operandSize = Prefixes(rawValue: 8)
    public static let addressSize = Prefixes(rawValue: 16)
    public static let segment = Prefixes(rawValue: 32)
}

/// Where one operand is.
public struct Operand: Equatable, Sendable, BitwiseCopyable {
    public enum Kind: UInt8, Sendable, BitwiseCopyable {
        case none, register, memory, immediate, relative, segment, control, debug, farPointer
        case stringSource, stringDestination
        case x87, mmx, xmm
    }
    public var kind: Kind = .none
    /// Register number, where the kind has one.
    public var index: UInt8 = 0
    /// Size in bytes; 0 when the operation knows (far pointers, FXSAVE areas …).
    public var size: UInt8 = 0

    public init(kind: Kind = .none, index: UInt8 = 0, size: UInt8 = 0) {
        self.kind = kind
        self.index = index
        self.size = size
    }

    public var isMemory: Bool { kind == .memory }
}

public struct Instruction: Equatable, Sendable, BitwiseCopyable {
    public var operation: Operation = .invalid
    /// Bytes, 1–15.
    public var length: UInt8 = 0
    public var prefixes: Prefixes = []
    /// Last opcode byte; `map` tells the escape before it: 0 none, 1 0F, 2 0F38, 3 0F3A.
    public var opcode: UInt8 = 0
    public var map: UInt8 = 0
    public var modRM: UInt8 = 0
    /// Operand and address size in bytes (2, 4; 8 to come).
    public var operandSize: UInt8 = 4
    public var addressSize: UInt8 = 4
    /// Memory operand: register numbers, `GPR.zero` for none; scale as a shift count 0–3.
    public var base: UInt8 = UInt8(GPR.zero)
    public var index: UInt8 = UInt8(GPR.zero)
    public var scale: UInt8 = 0
    /// Effective segment register of the memory operand (`SegmentIndex`).
    public var segment: UInt8 = UInt8(SegmentIndex.ds)
    public var displacement: UInt32 = 0
    /// Immediate, relative target (as displacement), or offset of a far pointer.
    public var immediate: UInt32 = 0
    /// Selector of a far pointer, second immediate of ENTER.
    public var immediate2: UInt16 = 0
    public var destination = Operand()
    public var source = Operand()
    public var third = Operand()

    public init() {}

    /// Condition code of Jcc, SETcc, CMOVcc.
    public var condition: UInt8 { opcode & 15 }
    /// The reg field of ModRM.
    public var reg: Int { Int(modRM >> 3 & 7) }
    /// The r/m field of ModRM.
    public var rm: Int { Int(modRM & 7) }
    public var isRegisterForm: Bool { modRM >= 0xC0 }
    /// Which of the four meanings of an SSE opcode: 0 none, 1 66, 2 F3, 3 F2.
    public var mandatoryPrefix: UInt8 {
        if prefixes.contains(.repeatNotEqual) { return 3 }
        if prefixes.contains(.repeatEqual) { return 2 }
        return prefixes.contains(.operandSize) ? 1 : 0
    }

    /// Whether execution may continue elsewhere than behind it.
    public var endsBlock: Bool {
        switch operation {
        case .jcc, .jmp, .jcxz, .loop, .loope, .loopne, .call, .ret, .jmpFar, .callFar, .retFar, .iret,
            .int, .int3, .into, .int1, .ud, .invalid, .hlt, .sysenter, .sysexit, .vmcall:
            true
        // What changes the rules under which the next instruction is decoded or run.
        case .movToControl, .movToDebug, .lmsw, .invlpg, .wrmsr, .popf, .sti, .cli, .movToSegment,
            .popSegment, .lds, .les, .lfs, .lgs, .lss, .in, .out, .ins, .outs, .lgdt, .lidt, .lldt, .ltr,
            .clts:
            true
        default: false
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Which arithmetic flags an instruction reads and which it certainly writes. From these follows, going
// backwards through a block, where flags are live, so that the code between guest instructions knows when
// it may spoil the host's flags. At the end of a block all flags count as live.

import X86

struct FlagEffects {
    static let carry: UInt8 = 1, parity: UInt8 = 2, adjust: UInt8 = 4, zero: UInt8 = 8, sign: UInt8 = 16
    static let overflow: UInt8 = 32
    static let all: UInt8 = 63

    /// Flags that the outcome depends on, or that pass through unless something unknown happens.
    var reads: UInt8 = 0
    /// Flags that are written whatever happens (with a value that may be undefined).
    var writes: UInt8 = 0

    static let none = FlagEffects()
    static let writesAll = FlagEffects(reads: 0, writes: all)
    /// Carried out by a function that takes and leaves flags in the saved form.
    static let byHelper = FlagEffects(reads: all, writes: 0)

    init(reads: UInt8 = 0, writes: UInt8 = 0) {
        self.reads = reads
        self.writes = writes
    }

    /// Of an instruction that the translator carries out itself.
    init(_ i: Instruction) {
        switch i.operation {
        case .add, .sub, .cmp, .and, .or, .xor, .test, .neg, .mul, .imul1, .imul2, .imul3, .cmpxchg, .xadd,
            .bsf, .bsr:
            self = .writesAll
        case .adc, .sbb: self = FlagEffects(reads: FlagEffects.carry, writes: FlagEffects.all)
        case .inc, .dec: self = FlagEffects(writes: FlagEffects.all & ~FlagEffects.carry)
        case .shl, .shr, .sar, .shld, .shrd:
            let count = i.third.kind == .none ? i.source : i.third
            guard count.kind == .immediate else {
                self = FlagEffects(reads: FlagEffects.all)
                return
            }
            self = i.immediate & 31 == 0 ? .none : .writesAll
        case .rol, .ror, .rcl, .rcr:
            let both = FlagEffects.carry | FlagEffects.overflow
            guard i.source.kind == .immediate else {
                self = FlagEffects(reads: FlagEffects.all)
                return
            }
            if i.immediate & 31 == 0 {
                self = .none
            } else if i.operation == .rol || i.operation == .ror {
                self = FlagEffects(writes: both)
            } else {
                self = FlagEffects(reads: both, writes: both)
            }
        case .bt, .bts, .btr, .btc: self = FlagEffects(writes: FlagEffects.carry)
        case .jcc, .set, .cmov: self = FlagEffects(reads: FlagEffects.condition(i.condition))
        case .cmpxchg8b: self = FlagEffects(writes: FlagEffects.zero)
        case .clc, .stc: self = FlagEffects(writes: FlagEffects.carry)
        case .cmc: self = FlagEffects(reads: FlagEffects.carry, writes: FlagEffects.carry)
        case .lahf: self = FlagEffects(reads: FlagEffects.all & ~FlagEffects.overflow)
        case .sahf: self = FlagEffects(writes: FlagEffects.all & ~FlagEffects.overflow)
        case .scas:
            // Without an element to look at, all flags stay.
            let repeats = !i.prefixes.isDisjoint(with: [.repeatEqual, .repeatNotEqual])
            self = repeats ? FlagEffects(reads: FlagEffects.all) : .writesAll
        case .sseCompare: self = .writesAll
        case .x87:
            let code = UInt16(i.opcode) << 8 | UInt16(i.modRM)
            switch code {
            case 0xDAC0...0xDADF, 0xDBC0...0xDBDF:  // FCMOVcc
                self = FlagEffects(reads: FlagEffects.carry | FlagEffects.zero | FlagEffects.parity)
            case 0xDBE8...0xDBF7, 0xDFE8...0xDFF7:  // FUCOMI(P), FCOMI(P)
                self = FlagEffects(writes: FlagEffects.carry | FlagEffects.zero | FlagEffects.parity)
            default: self = .none
            }
        default: self = .none
        }
    }

    /// The flags that a condition code looks at.
    static func condition(_ code: UInt8) -> UInt8 {
        switch code >> 1 & 7 {
        case 0: overflow
        case 1: carry
        case 2: zero
        case 3: carry | zero
        case 4: sign
        case 5: parity
        case 6: sign | overflow
        default: zero | sign | overflow
        }
    }

    /// Live flags before an instruction, given those after it.
    func before(_ after: UInt8) -> UInt8 { reads | after & ~writes }
}

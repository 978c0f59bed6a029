// SPDX-License-Identifier: Apache-2.0
//
// What is remembered about translated code: blocks, the jumps between them, and for each place where code
// may leave in the middle of a block what is needed to leave it in an exact state.

import X86

struct TranslatedBlock: BitwiseCopyable {
    /// Host address of the first instruction byte.
    var host: UInt
    /// Linear address of it; code knows its own addresses, so it is part of the key.
    var eip: UInt32
    var byteCount: Int32
    /// Offsets of the code, entered with the flags saved, and with the flags in the host's.
    var savedEntry: Int32
    var liveEntry: Int32
    /// Next block of the same page, or -1.
    var next: Int32
    /// Next block of the same hash, or -1.
    var nextOfHash: Int32 = -1
    /// First link that jumps here, or -1.
    var incoming: Int32 = -1
    var isAlive = true
    /// How the block's code reaches memory.
    var path = MemoryPath.flat
    /// Whether `liveEntry` is the short way in.
    var wantsLiveFlags = false
    /// A split instruction: the entry for its bytes in the second page; and in that entry, the block. Else -1.
    var tail: Int32 = -1
    var owner: Int32 = -1
}

/// A jump from the end of a block to another one.
struct Link: BitwiseCopyable {
    /// Offset of the displacement that is patched.
    var jump: Int32
    /// Where it goes while the target is not known.
    var stub: Int32
    /// Offset of the expected entry of the execute table where the target is in another page, or -1.
    var guardValue: Int32
    var target: UInt32
    /// Whether the flags are saved, and whether they are in the host's, when the jump is taken.
    var flagsSaved: Bool
    var flagsInHost: Bool
    /// How the block that it comes from reaches memory; it goes to such blocks only.
    var path: MemoryPath
    /// An indirect jump that looks whether it goes where it went first: offsets of the address that it expects, of
    /// the place in the execute table, and of the jump that is taken until those are known. Else -1.
    var expected: Int32 = -1
    var tablePlace: Int32 = -1
    var fillJump: Int32 = -1
    /// Next link into the same block, or -1.
    var next: Int32 = -1
    var isConnected = false
}

/// A memory access that may take the slow path.
struct AccessRecord: BitwiseCopyable {
    var eip: UInt32
    var block: Int32
    /// Instructions of the block from this one on.
    var left: UInt8
    var size: UInt8
    var length: UInt8
    var traits: UInt8

    /// The access reads what it will overwrite.
    static let reads: UInt8 = 1
    /// After the access the guest's flags are in the host's.
    static let flagsLive: UInt8 = 2
    /// The block ends with this instruction anyway.
    static let endsBlock: UInt8 = 4
    /// The access was tried in the window first.
    static let windowed: UInt8 = 8
}

/// An instruction that is carried out by the processor core.
struct HelperRecord: BitwiseCopyable {
    var instruction: Instruction
    var eip: UInt32
    var block: Int32
    var left: UInt8
    var endsBlock: Bool
    /// The instruction has been tried in the window, at ESI and EDI.
    var missedWindow = false
}

// SPDX-License-Identifier: Apache-2.0
//
// Instructions that cross a page boundary belong to no block. Hot loops contain them all the same, so
// the last decoding at an address is remembered, together with the bytes it was made from; it is used
// again only while those bytes are still what the page tables show there.

import X86

struct SplitCache {
    struct Entry {
        var eip: UInt32
        var mode: CodeMode
        /// The bytes, low byte first; an instruction has at most fifteen.
        var low: UInt64
        var high: UInt64
        var instruction: Instruction
    }

    private static let count = 256
    private var entries = [Entry?](repeating: nil, count: SplitCache.count)

    private static func slot(_ eip: UInt32) -> Int { Int((eip ^ eip >> 12) & UInt32(count - 1)) }

    /// The instruction at EIP if it has been decoded before and its bytes have not changed. Throws the fault
    /// of fetching them.
    func find(_ cpu: CPU) throws(Fault) -> Instruction? {
        guard let entry = entries[SplitCache.slot(cpu.eip)], entry.eip == cpu.eip, entry.mode == cpu.mode,
            let bytes = try cpu.codeBytes(cpu.eip, count: entry.instruction.length),
            bytes.low == entry.low, bytes.high == entry.high
        else { return nil }
        return entry.instruction
    }

    mutating func insert(_ instruction: Instruction, _ cpu: CPU) throws(Fault) {
        guard let bytes = try cpu.codeBytes(cpu.eip, count: instruction.length) else { return }
        entries[SplitCache.slot(cpu.eip)] = Entry(
            eip: cpu.eip, mode: cpu.mode, low: bytes.low, high: bytes.high, instruction: instruction)
    }
}

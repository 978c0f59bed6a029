// SPDX-License-Identifier: Apache-2.0
//
// Who wants to know where generated code lies: profilers, which else see addresses without names.

/// A stretch of generated code.
public struct TranslatedCode: Sendable {
    public enum Place: Sendable {
        /// The translation of the block at a linear address.
        case block(eip: UInt32, isUser: Bool)
        /// A fixed piece, by name.
        case piece(String)
    }
    /// Where the processor runs it.
    public var address: UInt
    public var byteCount: Int
    public var place: Place
}

extension Translator {
    /// Tells `listener` of the fixed pieces now, and of each block when it is translated. What is told later of the
    /// same addresses replaces what was told before.
    public func announceCode(to listener: @escaping (TranslatedCode) -> Void) {
        codeListener = listener
        let pieces = thunks.pieces.sorted { $0.offset < $1.offset }
        let ends = pieces.dropFirst().map(\.offset) + [cache.code.start]
        for (piece, end) in zip(pieces, ends) where end > piece.offset {
            listener(
                TranslatedCode(
                    address: cache.code.address(piece.offset), byteCount: end - piece.offset,
                    place: .piece(piece.name)))
        }
    }

    /// First address and length of all generated code.
    public var codeRange: (start: UInt, byteCount: Int) { (cache.code.address(0), cache.code.size) }
}

extension Thunks {
    /// The fixed pieces by name, in no order; one ends where the next begins.
    var pieces: [(name: String, offset: Int)] {
        [
            ("enter", enter), ("leave for next block", linkSavingFlags),
            ("leave for indirect jump", indirectMiss),
            ("leave for budget", budget), ("leave for moved page", moved),
            ("leave for first indirect jump", firstIndirect), ("leave for changed bytes", stale),
            ("return elsewhere", returnMiss), ("return to nowhere", returnReset), ("dispatch", dispatch),
            ("processor core", helper), ("resume", resume), ("system call", crossings.systemCall),
            ("sysenter", crossings.systemEnter), ("sysexit", crossings.systemExit),
            ("interrupt return", crossings.interruptReturn),
            ("commit", commit), ("load SSE", loadSSE), ("load x87", loadX87),
        ] + read.map { ("slow read", $0) } + write.map { ("slow write", $0) }
            + modify.map { ("slow modify", $0) }
    }
}

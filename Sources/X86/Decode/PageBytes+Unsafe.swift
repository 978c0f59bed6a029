// SPDX-License-Identifier: Apache-2.0
//
// Decoding where the bytes lie in one piece of host memory. Here, so that the decoder is specialised for it.

/// The bytes up to the end of a page. Beyond it a fault is reported, which only means "not in this page".
private struct PageBytes: ByteSource {
    var cursor: UInt
    let end: UInt

    @inline(__always)
    mutating func next() throws(Fault) -> UInt8 {
        guard cursor < end else { throw Fault(vector: Vector.pageFault) }
        // SAFETY: `cursor` is inside the page, by contract of `decode(at:end:)`.
        let byte = UnsafePointer<UInt8>(bitPattern: cursor).unsafelyUnwrapped.pointee
        cursor += 1
        return byte
    }
}

extension Decoder {
    /// Decodes the instruction at host address `host`. All bytes from there to `end` must be readable. Nil where they are
    /// none, or where it does not end before `end`.
    public func decode(at host: UInt, end: UInt) -> Instruction? {
        var source = PageBytes(cursor: host, end: end)
        return try? decode(&source)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Fetching and decoding the instruction at EIP with all checks, byte by byte.

/// Instruction bytes through the code segment and the page tables.
private struct FetchBytes: ByteSource {
    let cpu: CPU
    var offset: UInt32

    mutating func next() throws(Fault) -> UInt8 {
        let code = cpu[segment: SegmentIndex.cs]
        guard offset <= code.limit else { throw .generalProtection() }
        let byte = try cpu.fetchByte(code.base &+ offset)
        offset &+= 1
        return byte
    }
}

extension CPU {
    /// One instruction byte at a linear address.
    func fetchByte(_ linear: UInt32) throws(Fault) -> UInt8 {
        let frame = try page(linear, .execute, user: cpl == 3)
        return UInt8(truncatingIfNeeded: readPhysical(frame | UInt64(linear & 0xFFF), 1))
    }

    /// Decodes the instruction at EIP. Throws its fetch fault, #UD, or #GP(0) when it is too long; and
    /// `.debuggerStop` at a debugger's breakpoint.
    public func fetch() throws(Fault) -> Instruction {
        if system.hasDebugPoints { try checkBreakpoint(self[segment: SegmentIndex.cs].base &+ eip) }
        var source = FetchBytes(cpu: self, offset: eip)
        do throws(DecodeFailure) {
            return try Decoder(code32: mode.contains(.code32)).decode(&source)
        } catch {
            switch error {
            case .invalid: throw .invalidOpcode
            case .tooLong: throw .generalProtection()
            case .fetch(let fault): throw fault
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Does in software what a guest has left undone in a frame, for networks that want complete frames. A guest
// under an emulated processor gains much by leaving checksums to native code. A long TCP segment stays long: the
// networks that this is for end the guest's connections themselves, and no wire with a limit comes in between.

/// Turns an unfinished frame into a complete one.
enum FrameFinisher {
    /// Ethernet header, IPv4 without options, TCP without options.
    private static let shortestSegment = 14 + 20 + 20

    /// The complete frame; nil when the frame and what is to be done to it do not fit together.
    static func finish(_ frame: [UInt8], _ offload: FrameOffload) -> [UInt8]? {
        guard offload.flags & FrameOffload.needsChecksum != 0 else {
            return offload.segmentation == 0 ? frame : nil
        }
        switch offload.segmentation & 0x7F {
        case 0: return withChecksum(frame, offload)
        case 1, 4: return frame.count >= shortestSegment ? withChecksum(frame, offload) : nil
        default: return nil
        }
    }

    /// The field holds the sum of the pseudo header already.
    private static func withChecksum(_ frame: [UInt8], _ offload: FrameOffload) -> [UInt8]? {
        let start = Int(offload.checksumStart)
        let field = start + Int(offload.checksumOffset)
        guard field + 2 <= frame.count else { return nil }
        let sum = ~Checksum.fold(Checksum.sum(frame, start..<frame.count))
        var result = frame
        // Zero would mean "no checksum" in UDP.
        result.setBigEndian16(sum == 0 ? 0xFFFF : sum, at: field)
        return result
    }
}

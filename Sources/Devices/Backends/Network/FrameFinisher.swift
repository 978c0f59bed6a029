// SPDX-License-Identifier: Apache-2.0
//
// Does in software what a guest has left undone in a frame, for networks that want complete frames. A guest
// under an emulated processor gains much by leaving checksums and segmentation to native code.

/// Turns one unfinished frame into complete ones.
enum FrameFinisher {
    /// More frames than a full-size segment of the smallest sensible size needs.
    private static let frameLimit = 256

    /// The complete frames; none when the frame and what is to be done to it do not fit together.
    static func finish(_ frame: [UInt8], _ offload: FrameOffload) -> [[UInt8]] {
        guard offload.flags & FrameOffload.needsChecksum != 0 else {
            return offload.segmentation == 0 ? [frame] : []
        }
        switch offload.segmentation & 0x7F {
        case 0: return withChecksum(frame, offload).map { [$0] } ?? []
        case 1, 4: return segments(frame, offload)
        default: return []
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

    /// Where the headers of a long TCP segment are.
    private struct Headers {
        let ip: Int
        let tcp: Int
        let payload: Int
        let isIPv6: Bool

        init?(_ frame: [UInt8], _ offload: FrameOffload) {
            guard frame.count >= 14 else { return nil }
            ip = frame.bigEndian16(at: 12) == 0x8100 ? 18 : 14
            tcp = Int(offload.checksumStart)
            isIPv6 = offload.segmentation & 0x7F == 4
            let shortest = isIPv6 ? 40 : 20
            guard tcp >= ip + shortest, tcp + 20 <= frame.count, frame[ip] >> 4 == (isIPv6 ? 6 : 4)
            else { return nil }
            if !isIPv6, Int(frame[ip] & 15) * 4 != tcp - ip { return nil }
            payload = tcp + Int(frame[tcp + 12] >> 4) * 4
            guard payload >= tcp + 20, payload <= frame.count else { return nil }
        }
    }

    private static func segments(_ frame: [UInt8], _ offload: FrameOffload) -> [[UInt8]] {
        let size = Int(offload.segmentSize)
        guard let headers = Headers(frame, offload), size > 0 else { return [] }
        let count = max(1, (frame.count - headers.payload + size - 1) / size)
        guard count <= frameLimit else { return [] }
        return (0..<count).map { index in
            let start = headers.payload + index * size
            let end = min(start + size, frame.count)
            var part = Array(frame[..<headers.payload]) + frame[start..<end]
            setIPHeader(&part, headers, index: index)
            setTCPHeader(&part, headers, index: index, offset: index * size, isLast: index == count - 1)
            return part
        }
    }

    private static func setIPHeader(_ frame: inout [UInt8], _ headers: Headers, index: Int) {
        let ip = headers.ip
        if headers.isIPv6 {
            return frame.setBigEndian16(UInt16(truncatingIfNeeded: frame.count - ip - 40), at: ip + 4)
        }
        frame.setBigEndian16(UInt16(truncatingIfNeeded: frame.count - ip), at: ip + 2)
        let identification = frame.bigEndian16(at: ip + 4) &+ UInt16(truncatingIfNeeded: index)
        frame.setBigEndian16(identification, at: ip + 4)
        frame.setBigEndian16(0, at: ip + 10)
        frame.setBigEndian16(~Checksum.fold(Checksum.sum(frame, ip..<headers.tcp)), at: ip + 10)
    }

    private static func setTCPHeader(
        _ frame: inout [UInt8], _ headers: Headers, index: Int, offset: Int, isLast: Bool
    ) {
        let (ip, tcp) = (headers.ip, headers.tcp)
        var sequence = UInt32(frame.bigEndian16(at: tcp + 4)) << 16 | UInt32(frame.bigEndian16(at: tcp + 6))
        sequence &+= UInt32(truncatingIfNeeded: offset)
        frame.setBigEndian16(UInt16(sequence >> 16), at: tcp + 4)
        frame.setBigEndian16(UInt16(sequence & 0xFFFF), at: tcp + 6)
        // FIN and PSH belong to the last piece, the congestion mark to the first.
        if !isLast { frame[tcp + 13] &= ~0x09 }
        if index > 0 { frame[tcp + 13] &= ~0x80 }
        frame.setBigEndian16(0, at: tcp + 16)
        let addresses = headers.isIPv6 ? ip + 8..<ip + 40 : ip + 12..<ip + 20
        let pseudo = Checksum.sum(frame, addresses, from: 6 + UInt64(frame.count - tcp))
        frame.setBigEndian16(
            ~Checksum.fold(Checksum.sum(frame, tcp..<frame.count, from: pseudo)), at: tcp + 16)
    }
}

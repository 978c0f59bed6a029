// SPDX-License-Identifier: Apache-2.0
//
// Joins TCP segments that follow each other into one long one, as network cards do for their hosts. A guest has
// one buffer, one interrupt and one walk through its stack for 64 KiB instead of 45. It also counts what waits
// in its sockets by buffers, not by bytes: one with little memory loses short segments that are all within the
// window that it has announced, and waits a second or more for each of them to be sent again.

/// Makes long segments for guests that take them (`NetworkOffloads.tcp4`).
enum SegmentJoiner {
    private static let ipStart = 14
    private static let tcpStart = 34
    /// Where the payload begins: no options in either header.
    private static let headers = 54
    /// The limit of IPv4's length field, and the link header.
    private static let largestFrame = 14 + 65535
    /// The byte of TCP's flags, and two of them.
    private static let flags = 47
    private static let (acknowledge, push) = (UInt8(0x10), UInt8(0x08))

    /// Appends the segment in `next` to that in `frame` if both are of one stream, the one begins where the other
    /// ends, and nothing else of their headers tells them apart. False: nothing was changed.
    ///
    /// The joined frame leaves its checksum, and being cut into segments of the first one's size, to the guest.
    /// Both frames must have had good checksums: nobody can tell afterwards.
    static func join(_ next: NetworkFrame, to frame: inout NetworkFrame) -> Bool {
        guard next.offload.segmentation == 0, isPlain(frame.bytes), isPlain(next.bytes) else { return false }
        let have = frame.bytes.count - headers
        let size = frame.offload.segmentation == 0 ? have : Int(frame.offload.segmentSize)
        guard size > 0, have % size == 0, next.bytes.count - headers <= size,
            isContinued(frame.bytes, by: next.bytes)
        else { return false }
        frame.bytes.append(contentsOf: next.bytes[headers...])
        frame.bytes[flags] = next.bytes[flags]
        finish(&frame, segmentSize: size)
        return true
    }

    private static func isContinued(_ first: [UInt8], by second: [UInt8]) -> Bool {
        // Only the last of the joined segments may be pushed (or shorter).
        first.count + second.count - headers <= largestFrame && first[flags] == acknowledge
            && second[flags] & ~push == acknowledge && isOneStream(first, second)
            && sequence(second) == sequence(first) &+ UInt32(first.count - headers)
    }

    /// A TCP segment with payload over IPv4, whole, without options, and nothing behind it.
    private static func isPlain(_ bytes: [UInt8]) -> Bool {
        guard bytes.count > headers, bytes.count <= largestFrame else { return false }
        let isFragment = bytes.bigEndian16(at: 20) & 0x3FFF != 0
        return bytes[12] == 8 && bytes[13] == 0 && bytes[14] == 0x45 && bytes[23] == 6 && !isFragment
            && Int(bytes.bigEndian16(at: 16)) == bytes.count - ipStart && bytes[46] == 0x50
    }

    /// Link addresses, type of service, fragmentation, time to live, addresses, ports, what is acknowledged, window.
    private static func isOneStream(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        for range in [0..<12, 15..<16, 20..<23, 26..<38, 42..<46, 48..<50, 52..<54] {
            guard first[range] == second[range] else { return false }
        }
        return true
    }

    private static func sequence(_ bytes: [UInt8]) -> UInt32 {
        UInt32(bytes.bigEndian16(at: 38)) << 16 | UInt32(bytes.bigEndian16(at: 40))
    }

    /// The lengths and sums of a frame that has grown.
    private static func finish(_ frame: inout NetworkFrame, segmentSize: Int) {
        let length = frame.bytes.count
        frame.bytes.setBigEndian16(UInt16(length - ipStart), at: 16)
        frame.bytes.setBigEndian16(0, at: 24)
        let sum = Checksum.sum(frame.bytes, ipStart..<tcpStart)
        frame.bytes.setBigEndian16(~Checksum.fold(sum), at: 24)
        // The field is to hold the sum of the pseudo header.
        let pseudo = Checksum.sum(frame.bytes, 26..<tcpStart, from: 6 + UInt64(length - tcpStart))
        frame.bytes.setBigEndian16(Checksum.fold(pseudo), at: tcpStart + 16)
        frame.offload.flags = FrameOffload.needsChecksum
        frame.offload.segmentation = 1
        frame.offload.headerLength = UInt16(headers)
        frame.offload.segmentSize = UInt16(segmentSize)
        frame.offload.checksumStart = UInt16(tcpStart)
        frame.offload.checksumOffset = 16
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Segments that are joined on their way to the guest: what comes of them, and what must stay apart.

import Support
import Testing

@testable import Devices

@Suite("Joined segments")
struct SegmentJoinerTests {
    private static let headers = 54

    /// A complete frame of a stream at `sequence`.
    private func segment(_ sequence: UInt32, _ payload: [UInt8], flags: UInt8 = 0x10) -> NetworkFrame {
        var frame = [UInt8](repeating: 2, count: 12) + [8, 0]
        frame += [0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15]
        frame += [0x1F, 0x90, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0] + payload
        frame.setBigEndian16(UInt16(frame.count - 14), at: 16)
        frame.setBigEndian16(~Checksum.fold(Checksum.sum(frame, 14..<34)), at: 24)
        frame.setBigEndian16(UInt16(sequence >> 16), at: 38)
        frame.setBigEndian16(UInt16(sequence & 0xFFFF), at: 40)
        let pseudo = Checksum.sum(frame, 26..<34, from: 6 + UInt64(frame.count - 34))
        frame.setBigEndian16(~Checksum.fold(Checksum.sum(frame, 34..<frame.count, from: pseudo)), at: 50)
        var result = NetworkFrame(bytes: frame)
        result.offload.flags = FrameOffload.checksumIsGood
        return result
    }

    @Test("become one, with good sums, and the payload in order", arguments: [1, 3, 1460])
    func joined(size: Int) throws {
        var random = SplitMix64(seed: 11)
        // Over the end of the sequence numbers, and with a short last one.
        var sequence = UInt32.max - UInt32(2 * size)
        var payload = random.bytes(size)
        var frame = segment(sequence, payload)
        for index in 0..<9 {
            sequence &+= UInt32(size)
            let more = random.bytes(index == 8 ? max(1, size / 2) : size)
            let next = segment(sequence, more, flags: index == 8 ? 0x18 : 0x10)
            try #require(SegmentJoiner.join(next, to: &frame), "segment \(index)")
            payload += more
        }
        #expect(Array(frame.bytes[Self.headers...]) == payload)
        #expect(frame.offload.segmentation == 1 && Int(frame.offload.segmentSize) == size)
        #expect(frame.offload.headerLength == 54)
        // Its headers are those of the whole: with the sum filled in, the frame is as if it had been made at once.
        let whole = segment(UInt32.max - UInt32(2 * size), payload, flags: 0x18)
        #expect(FrameFinisher.finish(frame.bytes, frame.offload) == whole.bytes)
        // Behind a pushed one there is an end.
        let late = segment(sequence &+ UInt32(max(1, size / 2)), [1])
        #expect(!SegmentJoiner.join(late, to: &frame))
    }

    @Test("stay apart when any byte of their headers says so", arguments: 0..<54)
    func apart(at: Int) {
        let first = segment(1000, [1, 2, 3])
        let good = segment(1003, [4, 5, 6])
        // The number of the packet, and sums, differ between segments of one stream.
        let mayDiffer = [18, 19, 24, 25, 50, 51].contains(at)
        for bit in UInt8(0)..<8 {
            // Pushed is allowed, and the fragment flag "don't" too if both have it.
            let isPush = at == 47 && bit == 3
            var (frame, next) = (first, good)
            next.bytes[at] ^= 1 << bit
            #expect(SegmentJoiner.join(next, to: &frame) == (mayDiffer || isPush), "second, bit \(bit)")
            if !mayDiffer && !isPush { #expect(frame.bytes == first.bytes, "nothing was changed") }
            frame = first
            frame.bytes[at] ^= 1 << bit
            #expect(SegmentJoiner.join(good, to: &frame) == mayDiffer, "first, bit \(bit)")
        }
    }

    @Test("stay apart when the second is longer, empty, unfinished, or the whole too long")
    func lengths() {
        let first = segment(1000, [1, 2, 3])
        var frame = first
        #expect(!SegmentJoiner.join(segment(1003, [4, 5, 6, 7]), to: &frame), "longer")
        #expect(!SegmentJoiner.join(segment(1003, []), to: &frame), "an acknowledgement")
        var unfinished = segment(1003, [4, 5, 6])
        unfinished.offload.segmentation = 1
        #expect(!SegmentJoiner.join(unfinished, to: &frame))
        var padded = segment(1003, [4])
        padded.bytes += [0, 0, 0, 0, 0]
        #expect(!SegmentJoiner.join(padded, to: &frame), "padding is no payload")
        #expect(frame.bytes == first.bytes)
        #expect(SegmentJoiner.join(segment(1003, [4]), to: &frame))
        #expect(!SegmentJoiner.join(segment(1004, [5]), to: &frame), "behind a short one")
        var long = segment(0, [UInt8](repeating: 1, count: 1460))
        var count: UInt32 = 1
        while SegmentJoiner.join(segment(count * 1460, [UInt8](repeating: 1, count: 1460)), to: &long) {
            count += 1
        }
        #expect(long.bytes.count <= 14 + 65535 && long.bytes.count > 14 + 65535 - 1460)
    }

    @Test("nonsense is not joined to anything it does not fit, and nothing crashes")
    func hostile() {
        var random = SplitMix64(seed: 12)
        for _ in 0..<20000 {
            var frame = segment(0, random.bytes(Int.random(in: 0..<60, using: &random)))
            let have = frame.bytes.count
            var next = segment(UInt32(have - 54), random.bytes(Int.random(in: 0..<60, using: &random)))
            next.bytes = Array(next.bytes.prefix(Int.random(in: 0...next.bytes.count, using: &random)))
            if Bool.random(using: &random) { frame.offload = FrameOffload(random.bytes(10)) }
            let isJoined = SegmentJoiner.join(next, to: &frame)
            #expect(frame.bytes.count == (isJoined ? have + next.bytes.count - 54 : have))
        }
    }
}

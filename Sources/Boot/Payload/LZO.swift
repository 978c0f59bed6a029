// SPDX-License-Identifier: Apache-2.0
//
// Unpacks lzop files with LZO1X data. Written from the description of the format in Linux's
// Documentation/lzo.txt, because the library for it has a licence that we cannot take over.

import Support

struct LZO {
    private let input: [UInt8]
    private var at: Int
    private var end: Int
    private var output: [UInt8] = []
    private let limit: Int

    /// The contents of the lzop file `bytes`; nil when it is damaged or has not exactly `size` bytes.
    static func unpack(_ bytes: [UInt8], size: Int) -> [UInt8]? {
        var reader = LZO(input: bytes, at: PayloadFormat.lzo.magic.count, end: bytes.count, limit: size)
        reader.output.reserveCapacity(size)
        guard let flags = reader.header() else { return nil }
        while let unpacked = reader.number(4), unpacked > 0 {
            guard reader.block(unpacked, flags) else { return nil }
        }
        return reader.output.count == size ? reader.output : nil
    }

    private init(input: [UInt8], at: Int, end: Int, limit: Int) {
        (self.input, self.at, self.end, self.limit) = (input, at, end, limit)
    }

    /// Skips the header of the file (big-endian, with fields that came with version 0.94); its flags.
    private mutating func header() -> Int? {
        guard let version = number(2) else { return nil }
        let isNew = version >= 0x0940
        at += 2 + (isNew ? 2 : 0) + 1 + (isNew ? 1 : 0)  // library, needed version, method, level
        guard let flags = number(4) else { return nil }
        at += (flags & 0x800 != 0 ? 4 : 0) + 4 + 4 + (isNew ? 4 : 0)  // filter, mode, time
        guard let nameLength = number(1) else { return nil }
        at += nameLength + 4  // and a checksum
        return at <= end ? flags : nil
    }

    /// One block: its packed size, checksums, data.
    private mutating func block(_ unpacked: Int, _ flags: Int) -> Bool {
        guard let packed = number(4), unpacked <= limit - output.count else { return false }
        at += flags & 0x1 != 0 ? 4 : 0
        at += flags & 0x100 != 0 ? 4 : 0
        if packed < unpacked { at += (flags & 0x2 != 0 ? 4 : 0) + (flags & 0x200 != 0 ? 4 : 0) }
        guard at <= end, packed <= end - at else { return false }
        let (start, goal) = (output.count, output.count + unpacked)
        if packed == unpacked { return copyLiterals(packed) }
        var inner = LZO(input: input, at: at, end: at + packed, limit: unpacked)
        guard inner.decode(), inner.output.count == unpacked else { return false }
        at += packed
        output += inner.output
        return output.count == goal && start <= goal
    }

    /// LZO1X: instructions until the mark of the end. False when the data makes no sense.
    private mutating func decode() -> Bool {
        var state = 0
        if at < end, input[at] > 17 {
            let count = Int(input[at]) - 17
            at += 1
            guard copyLiterals(count) else { return false }
            state = min(count, 4)
        }
        while let instruction = number(1) {
            var (length, distance, literals) = (0, 0, instruction & 3)
            switch instruction {
            case 0..<16 where state == 0:
                guard let count = longCount(instruction & 15, 15), copyLiterals(count + 3) else {
                    return false
                }
                state = 4
                continue
            case 0..<16:
                guard let high = number(1) else { return false }
                length = state == 4 ? 3 : 2
                distance = high << 2 + instruction >> 2 + (state == 4 ? 2049 : 1)
            case 16..<64:
                let isNear = instruction >= 32
                let mask = isNear ? 31 : 7
                guard let count = longCount(instruction & mask, mask), let low = number(1),
                    let high = number(1)
                else { return false }
                length = count + 2
                let offset = (high << 8 | low) >> 2
                literals = low & 3
                distance = isNear ? offset + 1 : 16384 + (instruction & 8) << 11 + offset
                if distance == 16384, !isNear { return at == end }
            default:
                guard let high = number(1) else { return false }
                length = instruction < 128 ? 3 + (instruction >> 5 & 1) : 5 + (instruction >> 5 & 3)
                distance = high << 3 + (instruction >> 2 & 7) + 1
            }
            guard copyMatch(length, distance), copyLiterals(literals) else { return false }
            state = literals
        }
        return false
    }

    /// A count of more than fits: zero bytes stand for 255 each.
    private mutating func longCount(_ first: Int, _ base: Int) -> Int? {
        guard first == 0 else { return first }
        var count = base
        while let byte = number(1) {
            if byte != 0 { return count + byte }
            count += 255
            guard count <= limit else { return nil }
        }
        return nil
    }

    private mutating func copyLiterals(_ count: Int) -> Bool {
        guard count <= end - at, count <= limit - output.count else { return false }
        output += input[at..<at + count]
        at += count
        return true
    }

    /// Copies what may overlap with its own result.
    private mutating func copyMatch(_ count: Int, _ distance: Int) -> Bool {
        guard distance <= output.count, count <= limit - output.count else { return false }
        let from = output.count - distance
        for index in 0..<count { output.append(output[from + index]) }
        return true
    }

    /// A big-endian number of so many bytes, or nil at the end.
    private mutating func number(_ count: Int) -> Int? {
        guard at >= 0, count <= end - at else { return nil }
        defer { at += count }
        return input[at..<at + count].reduce(0) { $0 << 8 | Int($1) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The messages of 9P2000.L (the Linux kernel's documentation of v9fs, and the protocol's description by its
// authors, diod's protocol.md): numbers little-endian, strings with a length of two bytes before them.

/// Requests by number; the answer to each is one more.
enum P9Request: UInt8 {
    case statfs = 8, open = 12, create = 14, symlink = 16, makeNode = 18, rename = 20, readLink = 22
    case getAttributes = 24, setAttributes = 26, walkAttribute = 30, createAttribute = 32, readDirectory = 40
    case synchronise = 50, lock = 52, getLock = 54, link = 70, makeDirectory = 72, renameAt = 74, unlinkAt =
        76
    case version = 100, authenticate = 102, attach = 104, flush = 108, walk = 110, read = 116, write = 118
    case clunk = 120, remove = 122
}

/// An answer that says why not: an error number of Linux.
struct P9Failure: Error, Equatable {
    let number: Int32

    init(_ number: Int32) { self.number = number }
    /// From a C function that gives the negative of errno.
    static func check(_ result: Int32) throws(P9Failure) { if result < 0 { throw P9Failure(-result) } }
}

/// Reads a request piece by piece; what is not there is the error "invalid argument".
struct P9Reader {
    static let invalid = P9Failure(22)
    private let bytes: [UInt8]
    private var position: Int

    init(_ bytes: [UInt8], from position: Int) {
        self.bytes = bytes
        self.position = position
    }

    mutating func number<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type = T.self) throws(P9Failure)
        -> T
    {
        let size = MemoryLayout<T>.size
        guard bytes.count - position >= size else { throw Self.invalid }
        var value: T = 0
        for index in (0..<size).reversed() {
            value = T(truncatingIfNeeded: UInt64(value) << 8 | UInt64(bytes[position + index]))
        }
        position += size
        return value
    }

    mutating func data(_ count: Int) throws(P9Failure) -> ArraySlice<UInt8> {
        guard count >= 0, bytes.count - position >= count else { throw Self.invalid }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// A string with its zero byte left out, which it must not have.
    mutating func string() throws(P9Failure) -> [UInt8] {
        let text = Array(try data(Int(try number(UInt16.self))))
        guard !text.contains(0) else { throw Self.invalid }
        return text
    }

    /// A name: one component of a path, neither empty nor one of the two that lead elsewhere.
    mutating func name() throws(P9Failure) -> [UInt8] {
        let text = try string()
        guard !text.isEmpty, text.count < 256, !text.contains(0x2F), text != [0x2E], text != [0x2E, 0x2E]
        else { throw Self.invalid }
        return text
    }
}

/// Builds an answer.
struct P9Writer {
    private(set) var bytes: [UInt8]

    init(reserving count: Int = 64) {
        bytes = []
        bytes.reserveCapacity(count)
        bytes += [0, 0, 0, 0, 0, 0, 0]
    }

    mutating func put<T: FixedWidthInteger & UnsignedInteger>(_ value: T) {
        for index in 0..<MemoryLayout<T>.size {
            bytes.append(UInt8(truncatingIfNeeded: UInt64(value) >> UInt64(8 * index)))
        }
    }

    mutating func put(_ text: [UInt8]) {
        put(UInt16(truncatingIfNeeded: text.count))
        bytes += text
    }

    mutating func append(_ data: [UInt8]) { bytes += data }

    /// The whole message of this type.
    consuming func finished(type: UInt8, tag: UInt16) -> [UInt8] {
        bytes.setLittleEndian(UInt64(bytes.count), at: 0, width: 4)
        bytes[4] = type
        bytes.setLittleEndian(UInt64(tag), at: 5, width: 2)
        return bytes
    }

    static func failure(_ failure: P9Failure, tag: UInt16) -> [UInt8] {
        var writer = P9Writer()
        writer.put(UInt32(failure.number))
        return writer.finished(type: 7, tag: tag)
    }
}

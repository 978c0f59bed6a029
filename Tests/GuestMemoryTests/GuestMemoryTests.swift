// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import GuestMemory

@Suite("Guest memory")
struct GuestMemoryTests {
    private final class Observer: CodeWriteObserver {
        var ranges: [(UInt32, UInt32)] = []
        func codeBytesChanged(address: UInt32, length: UInt32) { ranges.append((address, length)) }
    }

    @Test("sizes", arguments: [0, 1, 4095, 4097, (1 << 32) + 4096] as [UInt64])
    func badSizes(bytes: UInt64) {
        #expect(throws: GuestMemoryError.badSize(bytes: bytes)) { try GuestMemory(bytes: bytes) }
    }

    @Test("integers are little-endian at any alignment, up to the last byte")
    func integers() throws {
        let memory = try GuestMemory(bytes: 8192)
        try memory.write(0x0102_0304_0506_0708 as UInt64, at: 8184)
        #expect(try memory.read(8184, as: UInt8.self) == 8)
        #expect(try memory.read(8185, as: UInt32.self) == 0x0405_0607)
        #expect(try memory.read(8188, as: UInt32.self) == 0x0102_0304)
    }

    @Test(
        "nothing outside can be reached",
        arguments: [(8192, 1), (8189, 4), (UInt64.max, 1), (UInt64.max - 3, 8), (1 << 32, 4)]
            as [(UInt64, Int)])
    func outside(address: UInt64, count: Int) throws {
        let memory = try GuestMemory(bytes: 8192)
        let error = GuestMemoryError.outOfRange(address: address, length: UInt64(count))
        #expect(throws: error) { try memory.readBytes(address, count: count) }
        #expect(throws: error) { try memory.writeBytes([UInt8](repeating: 1, count: count), at: address) }
        #expect(throws: error) { try memory.zero(address, count: UInt64(count)) }
        #expect(throws: error) { try memory.withBytes(address, count: count, forWriting: true) { _ in } }
        #expect(try memory.readBytes(0, count: 8192).allSatisfy { $0 == 0 })
    }

    @Test("writes to pages that hold code are announced, others are not")
    func code() throws {
        let memory = try GuestMemory(bytes: 4 * 4096)
        let observer = Observer()
        memory.codeWriteObserver = observer
        memory.codePages[1] = 1
        try memory.write(1 as UInt32, at: 0)
        try memory.writeBytes([1, 2, 3], at: 8192)
        #expect(observer.ranges.isEmpty)
        try memory.write(1 as UInt32, at: 4094)
        try memory.zero(4096 + 100, count: 8)
        #expect(observer.ranges.map(\.0) == [4094, 4196])
        #expect(observer.ranges.map(\.1) == [4, 8])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The kernel's linear map at its own addresses: what kernel code finds there, and what must not be there.

import Foundation
import GuestMemory
import Support
import Testing
import X86

@testable import Engine

/// A guest kernel with a linear map at 0xC0000000, in ring 0.
enum LinearMapGuest {
    static let base: UInt32 = 0xC000_0000
    static let kernelTable: UInt32 = 0x40_2000

    /// Kernel code at 0xC0001000, which sees the first 4 MiB at 0xC0000000, too; and what it is run by.
    static func kernel() throws -> UserGuest {
        let guest = try UserGuest { try Translator(memory: $0, storage: $1) }
        try guest.memory.write(kernelTable | 0x63, at: UInt64(UserGuest.directory + 768 * 4))
        for page in 0..<UInt32(1024) { try map(guest, page, page << 12 | 0x63) }
        guest.storage.tables.setSharedBase(base)
        guest.cpu.activateAddressSpace()
        guest.cpu.setPrivilege(0)
        guest.cpu.selectTables()
        guest.cpu[r32: GPR.esp] = base + 0x9_0000
        return guest
    }

    /// Makes `entry` the one of page number `page` of the linear map.
    static func map(_ guest: UserGuest, _ page: UInt32, _ entry: UInt32) throws {
        try guest.memory.write(entry, at: UInt64(kernelTable + page * 4))
        guest.storage.tables.flush(first: (base >> 12) + page, count: 1, root: UserGuest.directory)
    }

    static func count(_ guest: UserGuest, _ counter: Counter) -> UInt64 {
        guest.engine.details.first { $0.counter == counter }?.value ?? 0
    }

    /// A guest that has run `code` once with the direct window.
    static func started(_ code: [UInt8], _ prepare: (UserGuest) throws -> Void = { _ in }) throws -> UserGuest
    {
        let guest = try kernel()
        try guest.load(code + UserGuest.end, at: 0x1000)
        try prepare(guest)
        check(again(guest), UserGuest.done)
        check(count(guest, .directPagesMapped) > 0, true)
        return guest
    }

    static func again(_ guest: UserGuest) -> Exit { guest.run(from: base + 0x1000) }

    /// Ends the process if the two differ.
    static func check<T: Equatable>(_ found: T, _ expected: T, line: Int = #line) {
        guard found != expected else { return }
        FileHandle.standardError.write(
            Data("DirectWindowTests.swift:\(line): \(found), not \(expected)\n".utf8))
        exit(EXIT_FAILURE)
    }

    /// mov ecx,1000; xor eax,eax; L: mov [data],ecx; add eax,[data]; push eax; pop eax; dec ecx; jne L
    static func sum(_ data: UInt32) -> [UInt8] {
        [0xB9, 0xE8, 3, 0, 0, 0x31, 0xC0, 0x89, 0x0D] + little(data) + [0x03, 5] + little(data)
            + [0x50, 0x58, 0x49, 0x75, 0xEF]
    }
}

/// Each in a process of its own, since one engine of a process can have these addresses.
@Suite("Direct window")
struct DirectWindowTests {
    @Test("loads, stores and the stack of the kernel go straight to memory")
    func straight() async {
        await #expect(processExitsWith: .success) {
            let guest = try LinearMapGuest.started(
                LinearMapGuest.sum(LinearMapGuest.base + 0x5_0000))
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 500_500)
            LinearMapGuest.check(try guest.word(0x5_0000), 1)
            let faults = LinearMapGuest.count(guest, .windowFaults)
            LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
            LinearMapGuest.check(LinearMapGuest.count(guest, .windowFaults), faults)
        }
    }

    @Test("what the kernel takes out of its linear map, or puts elsewhere, is not there any more")
    func remapped() async {
        await #expect(processExitsWith: .success) {
            // mov eax,[data]
            let guest = try LinearMapGuest.started([0xA1] + little(LinearMapGuest.base + 0x5_0000)) {
                try $0.memory.write(UInt32(11), at: 0x5_0000)
                try $0.memory.write(UInt32(22), at: 0x6_0000)
            }
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 11)
            try LinearMapGuest.map(guest, 0x50, 0)
            let fault = Fault(
                vector: Vector.pageFault, errorCode: 0, address: LinearMapGuest.base + 0x5_0000)
            LinearMapGuest.check(LinearMapGuest.again(guest), .exception(fault))
            LinearMapGuest.check(guest.cpu.eip, LinearMapGuest.base + 0x1000)
            try LinearMapGuest.map(guest, 0x50, 0x6_0063)
            LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 22)
            try LinearMapGuest.map(guest, 0x50, 0x5_0063)
            LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 11)
        }
    }

    @Test("a page that may not be written faults")
    func readOnly() async {
        await #expect(processExitsWith: .success) {
            // mov eax,[data]; mov [data],eax
            let address = LinearMapGuest.base + 0x5_0000
            let guest = try LinearMapGuest.started([0xA1] + little(address) + [0xA3] + little(address))
            try LinearMapGuest.map(guest, 0x50, 0x5_0061)
            let fault = Fault(vector: Vector.pageFault, errorCode: 3, address: address)
            LinearMapGuest.check(LinearMapGuest.again(guest), .exception(fault))
            LinearMapGuest.check(guest.cpu.eip, LinearMapGuest.base + 0x1005)
        }
    }

    @Test("kernel code that reaches for user memory soon does so without faults")
    func userMemory() async {
        await #expect(processExitsWith: .success) {
            // The stack opens the linear map; the data is the user's.
            let guest = try LinearMapGuest.started(LinearMapGuest.sum(0x5_0000))
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 500_500)
            LinearMapGuest.check(LinearMapGuest.count(guest, .windowFaults) < 10, true)
            // What was the first to run may have to be made anew once more.
            for _ in 0..<3 { LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done) }
            let faults = LinearMapGuest.count(guest, .windowFaults)
            LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
            LinearMapGuest.check(LinearMapGuest.count(guest, .windowFaults), faults)
            // Gone, it faults as it should.
            try guest.map(0x5_0000, to: 0, rights: 0)
            let fault = Fault(vector: Vector.pageFault, errorCode: 2, address: 0x5_0000)
            LinearMapGuest.check(LinearMapGuest.again(guest), .exception(fault))
        }
    }

    @Test("a repeated move from user memory to the linear map, and one that runs over what is missing")
    func repeated() async {
        await #expect(processExitsWith: .success) {
            // mov esi,user; mov edi,kernel; mov ecx,2048; cld; rep movsd
            let code: [UInt8] =
                [0xBE] + little(0x5_0000) + [0xBF] + little(LinearMapGuest.base + 0x6_0000) + [0xB9]
                + little(2048)
                + [0xFC, 0xF3, 0xA5, 0x50, 0x58]
            let bytes = (0..<8192).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let guest = try LinearMapGuest.started(code) { try $0.load(bytes, at: 0x5_0000) }
            LinearMapGuest.check(try guest.memory.readBytes(0x6_0000, count: 8192), bytes)
            try guest.memory.zero(0x6_0000, count: 8192)
            try LinearMapGuest.map(guest, 0x61, 0)
            let fault = Fault(
                vector: Vector.pageFault, errorCode: 2, address: LinearMapGuest.base + 0x6_1000)
            LinearMapGuest.check(LinearMapGuest.again(guest), .exception(fault))
            LinearMapGuest.check(guest.cpu[r32: GPR.ecx], 1024)
            LinearMapGuest.check(try guest.memory.readBytes(0x6_0000, count: 4096), Array(bytes[..<4096]))
        }
    }

    @Test("code that the kernel overwrites in its linear map is translated anew")
    func overwritten() async {
        await #expect(processExitsWith: .success) {
            // inc byte [code + 1]; call code. There: mov al,7; ret
            let code = LinearMapGuest.base + 0x2000
            let call: [UInt8] = [0xE8] + little(code &- (LinearMapGuest.base + 0x100B))
            let guest = try LinearMapGuest.started([0xFE, 0x05] + little(code + 1) + call) {
                try $0.load([0xB0, 7, 0xC3], at: 0x2000)
            }
            LinearMapGuest.check(guest.cpu[r32: GPR.eax] & 0xFF, 8)
            for n in 9..<40 as Range<UInt32> {
                LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
                LinearMapGuest.check(guest.cpu[r32: GPR.eax] & 0xFF, n)
            }
        }
    }

    @Test("operands over the edge of a page, of the linear map, and of the address space")
    func edges() async {
        await #expect(processExitsWith: .success) {
            // mov eax,[data]
            let guest = try LinearMapGuest.started([0xA1] + little(LinearMapGuest.base + 0x5_0FFE)) {
                try $0.memory.write(0x1234_5678 as UInt32, at: 0x5_0FFE)
            }
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 0x1234_5678)
            try LinearMapGuest.map(guest, 0x51, 0x6_0063)
            try guest.memory.write(0xABCD as UInt16, at: 0x6_0000)
            LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 0xABCD_5678)
            // 16 MiB of RAM, of which the tables map 4: the rest is not there.
            try guest.load([0xA1] + little(LinearMapGuest.base + 0x3F_FFFE) + UserGuest.end, at: 0x1000)
            let fault = Fault(
                vector: Vector.pageFault, errorCode: 0, address: LinearMapGuest.base + 0x40_0000)
            LinearMapGuest.check(LinearMapGuest.again(guest), .exception(fault))
        }
    }

    @Test("what is forgotten as a whole is found again; what has moved is where it has moved to")
    func forgotten() async {
        await #expect(processExitsWith: .success) {
            // mov eax,[first]; mov ebx,[second]
            let first = LinearMapGuest.base + 0x5_0000
            let second = LinearMapGuest.base + 0x7_0000
            let guest = try LinearMapGuest.started([0xA1] + little(first) + [0x8B, 0x1D] + little(second)) {
                try $0.memory.write(UInt32(11), at: 0x5_0000)
                try $0.memory.write(UInt32(22), at: 0x6_0000)
                try $0.memory.write(UInt32(33), at: 0x7_0000)
            }
            LinearMapGuest.check(guest.cpu[r32: GPR.ebx], 33)
            // Behind the back of the tables, then as CR4 and FLUSH_TLB do it.
            try guest.memory.write(
                0x6_0063 as UInt32, at: UInt64(LinearMapGuest.kernelTable + 0x50 * 4))
            guest.cpu.flushChangedTranslations()
            LinearMapGuest.check(LinearMapGuest.again(guest), UserGuest.done)
            LinearMapGuest.check(guest.cpu[r32: GPR.eax], 22)
            LinearMapGuest.check(guest.cpu[r32: GPR.ebx], 33)
        }
    }

    @Test("two engines of a process do not share it, and it is free when its owner is gone")
    func oneOwner() async {
        await #expect(processExitsWith: .success) {
            var first: UserGuest? = try LinearMapGuest.started(
                LinearMapGuest.sum(LinearMapGuest.base + 0x5_0000))
            let second = try LinearMapGuest.kernel()
            try second.load(
                LinearMapGuest.sum(LinearMapGuest.base + 0x5_0000) + UserGuest.end, at: 0x1000)
            LinearMapGuest.check(LinearMapGuest.again(second), UserGuest.done)
            LinearMapGuest.check(second.cpu[r32: GPR.eax], 500_500)
            LinearMapGuest.check(LinearMapGuest.count(second, .directPagesMapped), 0)
            first.map { LinearMapGuest.check(LinearMapGuest.count($0, .directPagesMapped) > 0, true) }
            first = nil
            let third = try LinearMapGuest.started(
                LinearMapGuest.sum(LinearMapGuest.base + 0x5_0000))
            LinearMapGuest.check(third.cpu[r32: GPR.eax], 500_500)
        }
    }
}

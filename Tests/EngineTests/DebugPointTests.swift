// SPDX-License-Identifier: Apache-2.0

import Support
import Testing
import X86

@testable import Engine

/// Points of a debugger outside the guest: every way to the byte or the instruction must meet them, on each engine, by
/// flat tables and in a window that had the page a moment ago; and the guest must end as if there had been none.
@Suite("Breakpoints and watchpoints")
struct DebugPointTests {
    private static let kinds: [UserGuest.Kind] = [.interpreter, .flat, .windowed]
    /// A dword in the middle of a page that the program uses otherwise.
    private static let place: UInt32 = 0x5_0010

    /// An instruction that accesses `place`, and what comes before it.
    struct Access: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let setup: [UInt8]
        let instruction: [UInt8]
        let kind: WatchKind

        init(_ name: String, _ kind: WatchKind, _ setup: [UInt8], _ instruction: [UInt8]) {
            testDescription = name
            self.setup = setup
            self.instruction = instruction
            self.kind = kind
        }
    }

    private static func esp(_ value: UInt32) -> [UInt8] { [0xBC] + little(value) }
    private static func esi(_ value: UInt32) -> [UInt8] { [0xBE] + little(value) }
    private static func edi(_ value: UInt32) -> [UInt8] { [0xBF] + little(value) }
    private static func ecx(_ value: UInt32) -> [UInt8] { [0xB9] + little(value) }

    static let accesses: [Access] = [
        Access("mov to memory", .writes, [], [0x89, 0x0D] + little(place)),
        Access("mov from memory", .reads, [], [0x8B, 0x0D] + little(place)),
        Access("inc reads", .reads, [], [0xFF, 0x05] + little(place)),
        Access("inc writes", .writes, [], [0xFF, 0x05] + little(place)),
        Access("xchg", [.reads, .writes], [], [0x87, 0x0D] + little(place)),
        Access("the last byte", .writes, [], [0x88, 0x0D] + little(place + 3)),
        Access("half before it", .writes, [], [0x89, 0x0D] + little(place - 2)),
        Access("push", .writes, esp(place + 4), [0x50]),
        Access("pop", .reads, esp(place), [0x59]),
        Access("call", .writes, esp(place + 4), [0xE8, 0, 0, 0, 0]),
        Access("pusha", .writes, esp(place + 16), [0x60]),
        Access("enter", .writes, esp(place + 4), [0xC8, 0, 0, 0]),
        Access("stosd", .writes, edi(place), [0xAB]),
        Access("lodsd", .reads, esi(place), [0xAD]),
        Access("rep stosb", .writes, edi(0x4_FFE0) + ecx(0x80), [0xF3, 0xAA]),
        Access("rep movsb reads", .reads, esi(0x4_FFE0) + edi(0x6_0000) + ecx(0x80), [0xF3, 0xA4]),
        Access("rep movsd writes", .writes, esi(0x6_0000) + edi(0x4_FFE0) + ecx(0x20), [0xF3, 0xA5]),
        Access("repne scasb", .reads, edi(place - 4) + ecx(8), [0xF2, 0xAE]),
        Access("movups to memory", .writes, [], [0x0F, 0x11, 0x05] + little(place - 8)),
        Access("movups from memory", .reads, [], [0x0F, 0x10, 0x05] + little(place - 15)),
        Access("fnstcw", .writes, [], [0xD9, 0x3D] + little(place)),
        Access("fld", .reads, [], [0xDD, 0x05] + little(place - 4)),
        Access("fstp", .writes, [0xD9, 0xE8], [0xDB, 0x3D] + little(place - 8)),
        Access("fnsave", .writes, [], [0xDD, 0x35] + little(place - 100)),
        Access("cmpxchg8b", .reads, [], [0x0F, 0xC7, 0x0D] + little(place - 4)),
    ]

    /// A guest in which the program's pages are in use, and in the window where there is one.
    private func guest(_ kind: UserGuest.Kind, _ program: [UInt8]) throws -> UserGuest {
        let guest = try UserGuest(kind)
        guest.cpu.system.cr4 |= ControlBits.osfxsr
        // mov ecx,5000; L: mov [0x50800],ecx; mov eax,[0x50804]; mov [0x4f800],ecx; dec ecx; jne L
        let loop =
            [0x89, 0x0D] + little(0x5_0800) + [0xA1] + little(0x5_0804) + [0x89, 0x0D] + little(0x4_F800)
        let back = UInt8(truncatingIfNeeded: -(loop.count + 3))
        try guest.load(Self.ecx(5000) + loop + [0x49, 0x75, back] + UserGuest.end, at: 0x1000)
        try guest.load(program, at: 0x2000)
        try guest.load((0..<0x2000).map { UInt8(truncatingIfNeeded: $0 &* 5 &+ 1) }, at: 0x4_F000)
        #expect(guest.run(from: 0x1000) == UserGuest.done)
        guest.cpu[r32: GPR.eax] = 0x1122_3344
        return guest
    }

    /// What must not differ.
    private func outcome(_ guest: UserGuest) throws -> [UInt8] {
        let registers = (0..<8).flatMap { little(guest.cpu[r32: $0]) } + little(guest.cpu.eflags)
        return registers + (try guest.memory.readBytes(0x4_F000, count: 0x1_2000))
    }

    @Test("each way to memory meets a watchpoint", arguments: kinds, accesses)
    func watch(_ kind: UserGuest.Kind, _ access: Access) throws {
        let program = access.setup + access.instruction + UserGuest.end
        let free = try guest(kind, program)
        #expect(free.run(from: 0x2000) == UserGuest.done)

        let watched = try guest(kind, program)
        let cpu = watched.cpu
        let point = Watchpoint(address: Self.place, length: 4, kind: access.kind)
        // Another one in the same page, which nobody accesses.
        cpu.insertWatchpoint(Watchpoint(address: 0x5_0F00, length: 8, kind: [.reads, .writes]))
        cpu.insertWatchpoint(point)
        watched.engine.flushCode()
        let before = try watched.memory.readBytes(UInt64(Self.place), count: 4)
        cpu.debugPoints.mode = .armed
        #expect(watched.run(from: 0x2000) == .exception(.debuggerStop))
        cpu.debugPoints.mode = .off
        #expect(cpu.eip == 0x2000 + UInt32(access.setup.count))
        #expect(cpu.debugPoints.hit == .watchpoint(point))
        #expect(try watched.memory.readBytes(UInt64(Self.place), count: 4) == before)
        // The access itself; of a repeated instruction one element.
        cpu.debugPoints.hit = nil
        #expect(Stepper.step(cpu) == .budget)
        #expect(cpu.debugPoints.hit == .watchpoint(point))
        cpu.removeAllDebugPoints()
        watched.engine.flushCode()
        #expect(watched.goOn() == UserGuest.done)
        #expect(try outcome(watched) == outcome(free))
    }

    /// At 0x2000 a loop over all ways to the function at 0x3003, 300 times: call; call through a register; fall into
    /// it from the page before, over an instruction that lies in both pages.
    private func loadCallers(_ guest: UserGuest) throws {
        let direct: [UInt8] = [0xE8] + little(0x3003 &- 0x200A)
        let indirect: [UInt8] = [0xBA] + little(0x3003) + [0xFF, 0xD2]
        let before: [UInt8] = [0xE8] + little(0x2FF0 &- 0x2016)
        let loop = Self.ecx(300) + direct + indirect + before + [0x49, 0x75, 0xEC]
        try guest.load(loop + UserGuest.end, at: 0x2000)
        // 13 times nop; add edi,1 from 0x2FFD to 0x3003; inc ebx; inc eax; ret
        try guest.load([UInt8](repeating: 0x90, count: 13) + [0x81, 0xC7] + little(1), at: 0x2FF0)
        try guest.load([0x43, 0x40, 0xC3], at: 0x3003)
    }

    @Test("each way to an instruction meets a breakpoint, and none is left behind", arguments: kinds)
    func breakpoint(_ kind: UserGuest.Kind) throws {
        let guest = try UserGuest(kind)
        let cpu = guest.cpu
        try loadCallers(guest)
        // All blocks are there, and know each other.
        #expect(guest.run(from: 0x2000) == UserGuest.done)
        #expect(cpu[r32: GPR.eax] == 900)
        cpu.insertBreakpoint(0x3004)
        guest.engine.flushCode()
        var hits: UInt32 = 0
        cpu.eip = 0x2000
        while true {
            cpu.debugPoints.mode = .armed
            let exit = guest.goOn()
            cpu.debugPoints.mode = .off
            guard exit == .exception(.debuggerStop) else {
                #expect(exit == UserGuest.done)
                break
            }
            hits += 1
            #expect(cpu.eip == 0x3004 && cpu.debugPoints.hit == .breakpoint(0x3004))
            #expect(cpu[r32: GPR.eax] == 900 + hits - 1 && cpu[r32: GPR.ebx] == 900 + hits)
            guard hits <= 900 else { break }
            #expect(Stepper.step(cpu) == .budget)
        }
        #expect(hits == 900 && cpu[r32: GPR.eax] == 1800 && cpu[r32: GPR.edi] == 600)
        cpu.removeBreakpoint(0x3004)
        guest.engine.flushCode()
        #expect(guest.run(from: 0x2000) == UserGuest.done)
        #expect(cpu[r32: GPR.eax] == 2700)
        // Without points nothing goes instruction by instruction, but for what the interpreter does so anyway.
        let steps = guest.engine.counters.singleSteps
        #expect(guest.run(from: 0x2000) == UserGuest.done)
        #expect(guest.engine.counters.singleSteps - steps <= 300)
    }
}

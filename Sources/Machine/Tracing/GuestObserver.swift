// SPDX-License-Identifier: Apache-2.0
//
// What a trace wants to know of a guest's kernel beyond the processor's registers: which task runs, and from
// where a request came. Both are read from guest memory, and believed only as far as that is sensible.

import Debug
import Support
import Tap
import X86

final class GuestObserver: TraceObserver {
    private let cpu: CPU
    private let symbols: GuestSymbols
    private lazy var task = LinuxTask(cpu, symbols)
    private var stubs: [UInt32: Bool] = [:]
    private var calls: [UInt32: Before] = [:]

    /// Words of the stack that are looked at.
    private static let depth: UInt64 = 40

    init(_ cpu: CPU, _ symbols: GuestSymbols) {
        self.cpu = cpu
        self.symbols = symbols
    }

    func currentTask() -> UInt32 { task.current() }

    func taskName(_ record: UInt32) -> String? { task.name(record) }

    /// Return addresses above the stack pointer, where the guest is in a function that only passes requests on.
    /// Not all that looks like one is: functions leave old ones in variables that they have not set yet. So a
    /// call whose target is known must go to the function that we came from; where no call does (a function was
    /// left by a jump), the first that looks like one must do.
    func callers() -> SIMD2<UInt32> {
        guard cpu.cpl != 3, isStub(cpu.eip) else { return SIMD2() }
        let text = symbols.textRange
        var (found, plausible) = (SIMD2<UInt32>(), SIMD2<UInt32>())
        var (count, plausibleCount) = (0, 0)
        var function = symbols.function(at: cpu.eip)
        let stack = cpu[r32: GPR.esp]
        guard stack & 3 == 0, var physical = cpu.peekTranslate(stack) else { return SIMD2() }
        // Kernel stacks are aligned to more than their size: what is in another page is not looked at.
        let end = min(physical + Self.depth * 4, (physical | 0xFFF) + 1)
        while physical < end {
            let word: UInt32 = (try? cpu.memory.read(physical)) ?? 0
            physical += 4
            guard text.contains(word), case .call(let target) = call(before: word) else { continue }
            if plausibleCount < 2 {
                plausible[plausibleCount] = word
                plausibleCount += 1
            }
            if let target, let inside = function, symbols.function(at: target) != inside { continue }
            found[count] = word
            count += 1
            if count == 2 { break }
            function = symbols.function(at: word)
        }
        return count > 0 ? found : plausible
    }

    private func isStub(_ address: UInt32) -> Bool {
        if let known = stubs[address] { return known }
        forgetIfMany()
        let name = symbols.lookup(address)?.symbol.name
        let result = name.map { name in cpu.owner.tap.stubs.contains { name.hasPrefix($0) } } ?? false
        stubs[address] = result
        return result
    }

    /// What is before an address: a call, with its target unless that is in a register or memory.
    private enum Before {
        case call(UInt32?)
        case other
    }

    private func call(before address: UInt32) -> Before {
        if let known = calls[address] { return known }
        forgetIfMany()
        let result = look(before: address)
        calls[address] = result
        return result
    }

    private func look(before address: UInt32) -> Before {
        if cpu.peek(address &- 5) == 0xE8 {
            let bytes = (1...UInt32(4)).map { cpu.peek(address &- $0) ?? 0 }
            return .call(address &+ bytes.reduce(0) { $0 << 8 | UInt32($1) })
        }
        for length in 2...UInt32(7) where cpu.peek(address &- length) == 0xFF {
            if let form = cpu.peek(address &- length &+ 1), form >> 3 & 7 == 2 { return .call(nil) }
        }
        return .other
    }

    /// A kernel has a few thousand such places; one that makes up more does not fill our memory.
    private func forgetIfMany() {
        guard stubs.count + calls.count > 1 << 16 else { return }
        stubs.removeAll()
        calls.removeAll()
    }

    /// Symbols have turned up, so what was no stub may be one.
    func forget() { stubs.removeAll() }
}

extension CPU {
    /// The word at a linear address, or nil when it is not mapped RAM or crosses into another page.
    func peekWord(_ linear: UInt32) -> UInt32? {
        guard linear & 0xFFF <= 0xFFC, let physical = peekTranslate(linear) else { return nil }
        return try? memory.read(physical)
    }
}

/// Finds the running task of a Linux kernel: by its symbols, and by the name of its first task. Nothing can be
/// found before the kernel's own page tables are in use.
private final class LinuxTask {
    private let cpu: CPU
    private let symbols: GuestSymbols
    /// Guest-virtual address of the variable that points to the running task; 0 when there is none.
    private var variable: UInt32 = 0
    /// A kernel for several processors keeps each one's variables apart. Where those of the first are is in a word at
    /// this address, and changes once, early; 0 when there is none.
    private var distance: UInt32 = 0
    /// Bytes from a task's record to its name.
    private var nameOffset: UInt32?
    /// Events at which it is looked again.
    private var attempts = 0
    private static let attemptLimit = 4096

    init(_ cpu: CPU, _ symbols: GuestSymbols) {
        self.cpu = cpu
        self.symbols = symbols
    }

    private func search() {
        attempts += 1
        // Seldom after the first few times: symbols may come late.
        guard attempts < 8 || attempts & 255 == 0 else { return }
        let names = KernelVariables.current
        guard let found = names.lazy.compactMap({ [symbols] in symbols.address(of: $0) }).first,
            let first = symbols.address(of: "init_task")
        else { return }
        nameOffset = Self.findName(first, cpu)
        guard nameOffset != nil else { return }
        variable = found
        distance = symbols.address(of: KernelVariables.distances) ?? 0
    }

    /// The first task is called "swapper", later "swapper/0".
    private static func findName(_ record: UInt32, _ cpu: CPU) -> UInt32? {
        let wanted = Array("swapper".utf8)
        return (0..<UInt32(8192)).first { offset in
            wanted.indices.allSatisfy { cpu.peek(record &+ offset &+ UInt32($0)) == wanted[$0] }
        }
    }

    func current() -> UInt32 {
        guard cpu.system.cr0 & ControlBits.pg != 0 else { return 0 }
        if variable == 0, attempts < Self.attemptLimit { search() }
        guard variable != 0 else { return 0 }
        let base = distance == 0 ? 0 : cpu.peekWord(distance) ?? 0
        return cpu.peekWord(variable &+ base) ?? 0
    }

    /// At most 15 characters, as the kernel keeps them.
    func name(_ record: UInt32) -> String? {
        guard let nameOffset else { return nil }
        var bytes: [UInt8] = []
        for n in 0..<UInt32(15) {
            guard let byte = cpu.peek(record &+ nameOffset &+ n), byte != 0 else { break }
            bytes.append(byte)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self).asOneLine
    }
}

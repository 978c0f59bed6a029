// SPDX-License-Identifier: Apache-2.0
//
// What a trace wants to know of a guest's kernel beyond the processor's registers: which task runs, and from
// where a request came. Both are read from guest memory, and believed only as far as that is sensible.

import Debug
import Support
import Tap
import X86

final class GuestObserver: TraceObserver {
    private let task: LinuxTask
    private let finder: CallerFinder

    init(_ cpu: CPU, _ symbols: GuestSymbols) {
        task = LinuxTask(cpu, symbols)
        finder = CallerFinder(cpu, symbols)
    }

    func currentTask() -> UInt32 { task.current() }

    func taskName(_ record: UInt32) -> String? { task.name(record) }

    func callers() -> SIMD2<UInt32> { finder.callers() }

    /// Symbols have turned up.
    func forget() { finder.forget() }
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

// SPDX-License-Identifier: Apache-2.0
//
// What `monitor …` in gdb (`process plugin packet monitor …` in lldb) offers beside gdb's own commands.

import Support
import X86

/// Commands in words, answers in lines.
struct DebugCommands {
    private let guest: any DebuggedGuest
    private let tasks: TaskList

    init(_ guest: any DebuggedGuest, _ tasks: TaskList) {
        self.guest = guest
        self.tasks = tasks
    }

    static let help = """
        tlb VA           the page tables' way from a linear address to a physical one, and what of it is remembered
        system           control registers, segments, descriptor tables
        tasks            the kernel's tasks
        symbol PLACE     the symbol at an address, or the address of a symbol
        step-interrupts on|off
                         whether a step may end in an interrupt's handler; off until it is turned on
        stats            what --stats prints
        trace …          tracing; 'trace help' says more
        help             this list
        """

    /// The answer, one or more lines without the last line end.
    func run(_ line: String) -> String {
        let words = line.split(separator: " ").map(String.init)
        guard let command = words.first else { return Self.help }
        let rest = Array(words.dropFirst())
        switch command {
        case "help", "?": return Self.help
        case "tlb", "walk":
            guard let address = address(rest) else {
                return "usage: monitor tlb ADDRESS|SYMBOL (such as 0xc1000000)"
            }
            return Self.describe(guest.cpu.walk(address), address)
        case "symbol":
            guard let address = address(rest) else { return "usage: monitor symbol ADDRESS|SYMBOL" }
            let place = guest.symbolTable?.lookup(address)
            return place.map { "\(address.asHex)  \($0)" } ?? "no symbol there"
        case "system": return system
        case "tasks":
            let current = tasks.current()
            return tasks.all().map { task in
                "\(task == current ? "*" : " ") pid \(task.pid)  \(task.name)  task_struct \(task.address.asHex)"
            }.joined(separator: "\n")
        case "step-interrupts":
            if rest == ["on"] || rest == ["off"] { guest.stepsTakeInterrupts = rest == ["on"] }
            guard rest.isEmpty || rest == ["on"] || rest == ["off"] else {
                return "usage: monitor step-interrupts on|off"
            }
            return "interrupts between steps: " + (guest.stepsTakeInterrupts ? "on" : "off")
        case "stats": return guest.statisticsText
        case "trace": return guest.trace(rest)
        default: return "no command '\(command.asOneLine)'; 'monitor help' lists all"
        }
    }

    /// A number (hexadecimal, with or without 0x) or a symbol.
    private func address(_ words: [String]) -> UInt32? {
        guard words.count == 1, let word = words.first else { return nil }
        if let symbol = guest.symbolTable?.lookup(name: word) { return symbol.address }
        return UInt32(word.hasPrefix("0x") ? String(word.dropFirst(2)) : word, radix: 16)
    }

    static func describe(_ walk: PageWalk, _ address: UInt32) -> String {
        var lines = walk.steps.map { step in
            let value = UInt64(step.value)
            return "\(step.name) at \(step.address.asHex): \(value.asHex) (\(flags(value)))"
        }
        if walk.steps.isEmpty { lines.append("paging is off: linear addresses are physical ones") }
        lines.append("\(address.asHex) -> " + (walk.physical?.asHex ?? "not mapped"))
        let remembered = walk.remembered.isEmpty ? "nothing" : walk.remembered.joined(separator: ", ")
        lines.append("remembered for: " + remembered)
        return lines.joined(separator: "\n")
    }

    private static func flags(_ entry: UInt64) -> String {
        guard entry & 1 != 0 else { return "not present" }
        let names: [(UInt64, String)] = [
            (1 << 1, "rw"), (1 << 2, "user"), (1 << 5, "accessed"), (1 << 6, "dirty"), (1 << 7, "large"),
            (1 << 8, "global"), (1 << 63, "no execute"),
        ]
        return (["present"] + names.filter { entry & $0.0 != 0 }.map(\.1)).joined(separator: " ")
    }

    private var system: String {
        let state = guest.cpu.system
        var lines = [
            "cr0 \(state.cr0.asHex)  cr2 \(state.cr2.asHex)  cr3 \(state.cr3.asHex)  cr4 \(state.cr4.asHex)",
            "ring \(guest.cpu.cpl)  eflags \(guest.cpu.eflags.asHex)  instructions \(guest.cpu.instructions)",
            "gdt \(state.gdtBase.asHex) limit \(state.gdtLimit.asHex)  idt \(state.idtBase.asHex) "
                + "limit \(state.idtLimit.asHex)",
        ]
        for (index, name) in ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"].enumerated() {
            let segment = guest.cpu[segment: index]
            lines.append(
                "\(name) \(UInt32(segment.selector).asHex)  base \(segment.base.asHex)  limit \(segment.limit.asHex)"
            )
        }
        return lines.joined(separator: "\n")
    }
}

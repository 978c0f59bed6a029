// SPDX-License-Identifier: Apache-2.0
//
// What a person gets to see when a guest cannot go on: the reason, the place by symbol, the
// instruction, the registers, the segments, how it got there, and what may help.

import Debug
import Engine
import GuestInterfaces
import Support
import Trace
import X86

struct CrashReport {
    let text: String

    init(_ death: GuestDeath, _ machine: Machine) {
        let cpu = machine.cpu
        let symbols = machine.symbols.current
        func place(_ address: UInt32) -> String {
            CrashReport.place(address, symbols?.lookup(address))
        }
        guard !death.isGuestMessage else {
            // It knows best what is wrong, and has said it. Where in its source that is, it does not know.
            let stack = CrashReport.stack(machine, onlyWithSource: true)
            text = (["lguest: \(death.reason)"] + stack).joined(separator: "\n")
            return
        }
        var lines = ["lguest: the guest was stopped: \(death.reason)"]
        lines.append("  at           \(place(cpu.eip))  (ring \(cpu.cpl))")
        lines.append("  instruction  \(CrashReport.instruction(machine))")
        let names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        for row in [[0, 3, 1, 2], [6, 7, 5, 4]] {
            let cells = row.map { "\(names[$0]) \(hex(cpu[r32: $0]))" }
            lines.append("  " + cells.joined(separator: "  "))
        }
        lines.append("  eip \(hex(cpu.eip))  eflags \(hex(cpu.eflags)) [\(CrashReport.flags(cpu.eflags))]")
        let system = cpu.system
        lines.append(
            "  cr0 \(hex(system.cr0))  cr2 \(hex(system.cr2))  cr3 \(hex(system.cr3))  cr4 \(hex(system.cr4))"
        )
        let segments = ["es", "cs", "ss", "ds", "fs", "gs"]
        for (index, name) in segments.enumerated() {
            let s = cpu[segment: index]
            let state =
                s.isPresent
                ? "base \(hex(s.base))  limit \(hex(s.limit))  dpl \(s.dpl)\(s.isCode ? " code" : " data")"
                : "null"
            lines.append("  \(name) \(hex(UInt32(s.selector)).suffix(4))  \(state)")
        }
        let count = min(system.branchCursor, 16)
        if count > 0 {
            // Generated code notes only what crosses between privileges.
            let kind = machine.engine is Interpreter ? "last branches" : "last branches between privileges"
            lines.append("  \(kind), newest first:")
            for n in 1...count {
                lines.append("    \(place(system.branches[Int((system.branchCursor &- n) & 15)]))")
            }
        }
        lines += CrashReport.stack(machine)
        lines.append(
            "  after \(cpu.instructions) instructions, kernel \(machine.kernel.linuxVersion?.description ?? "of unknown version")"
        )
        if let suggestion = death.suggestion { lines.append("  suggestion   \(suggestion)") }
        if let topic = death.topic {
            lines.append("  explained by `lguest explain \(CrashReport.word(topic))`")
        }
        text = lines.joined(separator: "\n")
    }

    /// As one word of a shell.
    private static func word(_ topic: String) -> String {
        topic.contains(" ") ? "'\(topic)'" : topic
    }

    private static func place(_ address: UInt32, _ symbol: SymbolicAddress?) -> String {
        symbol.map { "\(hex(address))  \($0)" } ?? hex(address)
    }

    /// The kernel's stack trace, with source lines where the kernel file has them. A question mark stands before
    /// what may be left over from an earlier call.
    private static func stack(_ machine: Machine, onlyWithSource: Bool = false) -> [String] {
        let symbols = machine.symbols.current
        let frames = StackTrace(machine).frames()
        guard frames.count > 1 else { return [] }
        let source = machine.debugFile.flatMap(SourceLines.init)
        if onlyWithSource, source == nil { return [] }
        let rows = frames.enumerated().map { index, frame in
            // A return address is behind the call; the line is that of the call.
            let at = source?.line(of: index == 0 ? frame.address : frame.address &- 1)
            let symbol =
                index == 0
                ? symbols?.lookup(frame.address) : symbols?.lookup(returnAddress: frame.address)
            return (mark: frame.isCertain ? "  " : "? ", text: place(frame.address, symbol), line: at)
        }
        let width = rows.map(\.text.count).max() ?? 0
        return ["  stack, innermost first:"]
            + rows.map { row in
                let line = row.line.map { String(repeating: " ", count: width - row.text.count + 2) + $0 }
                return "  " + row.mark + row.text + (line ?? "")
            }
    }

    /// The instruction at EIP, with its bytes.
    private static func instruction(_ machine: Machine) -> String {
        let cpu = machine.cpu
        var bytes: [UInt8] = []
        let start = cpu[segment: SegmentIndex.cs].base &+ cpu.eip
        for n in 0..<UInt32(15) {
            guard let byte = cpu.peek(start &+ n) else { break }
            bytes.append(byte)
        }
        guard !bytes.isEmpty else { return "(the page tables map nothing there)" }
        let size: Disassembler.CodeSize = cpu.mode.contains(.code32) ? .bits32 : .bits16
        let disassembler = Disassembler(symbols: machine.symbols.current)
        let line = disassembler.instruction(bytes, at: cpu.eip, codeSize: size)
        let shown = line.isValid ? Array(bytes.prefix(line.length)) : Array(bytes.prefix(8))
        return "\(shown.asHexBytes)    \(line.text)"
    }

    private static func flags(_ value: UInt32) -> String {
        let names: [(UInt32, String)] = [
            (EFLAGS.cf, "cf"), (EFLAGS.pf, "pf"), (EFLAGS.af, "af"), (EFLAGS.zf, "zf"), (EFLAGS.sf, "sf"),
            (EFLAGS.tf, "tf"), (EFLAGS.interrupt, "if"), (EFLAGS.df, "df"), (EFLAGS.of, "of"),
            (EFLAGS.nt, "nt"),
            (EFLAGS.ac, "ac"), (EFLAGS.id, "id"),
        ]
        return names.filter { value & $0.0 != 0 }.map(\.1).joined(separator: " ")
    }
}

/// Eight hexadecimal digits with a prefix.
private func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
}

// SPDX-License-Identifier: Apache-2.0
//
// A disagreement made small and printed for people: assembly, the state before, and both states after.

import CHostOracle
import Trace
import X86

extension Campaign {
    /// Drops instructions and simplifies registers as long as the processors still disagree in the same thing.
    public func reduce(_ original: Disagreement) throws -> Disagreement {
        var best = original
        func attempt(_ change: (inout TestCase) -> Void) throws {
            var candidate = best.test
            change(&candidate)
            candidate.normalise()
            if let smaller = try differs(candidate, best.way), smaller.differences == best.differences {
                best = smaller
            }
        }
        while best.test.instructions.count > 1 {
            let count = best.test.instructions.count
            for n in (0..<count).reversed()
            where n < best.test.instructions.count && best.test.instructions.count > 1 {
                try attempt { $0.instructions.remove(at: n) }
            }
            if best.test.instructions.count == count { break }
        }
        for n in 0..<8 { try attempt { $0.gpr[n] = 0 } }
        for bit in 0..<22 where bit != 1 && bit != 9 { try attempt { $0.eflags &= ~(1 << UInt32(bit)) } }
        for n in (0..<best.test.patches.count).reversed() { try attempt { $0.patches.remove(at: n) } }
        try reduceFloating(attempt: attempt)
        return best
    }

    /// Simplifies the floating state: words and registers as after a reset.
    private func reduceFloating(attempt: ((inout TestCase) -> Void) throws -> Void) throws {
        let clean = TestCase.initialFPU
        let pieces = [0..<4, 4..<6, 24..<28] + stride(from: 32, to: 288, by: 16).map { $0..<$0 + 16 }
        for piece in pieces { try attempt { $0.fpu?.replaceSubrange(piece, with: clean[piece]) } }
    }

    public func describe(_ d: Disagreement) throws -> String {
        let test = d.test
        var lines = ["\(d.way.rawValue) differs in \(d.differences.joined(separator: ", "))"]
        lines += describe(test)
        lines.append("  host:   " + state(d.host))
        lines.append("  ours:   " + state(d.ours))
        let flags = (d.host.eflags ^ d.ours.eflags) & Comparison.compared
        if flags != 0 {
            lines.append("  flags that differ: \(names(flags)) (undefined: \(names(d.undefined)))")
        }
        if d.differences.contains("memory") { lines += try memoryDifferences(d) }
        if let a = d.host.fpu, let b = d.ours.fpu {
            for n in stride(from: 0, to: 288, by: 16) where a[n..<n + 16] != b[n..<n + 16] {
                lines.append("  fpu+\(n): host \(a[n..<n + 16].asHexBytes)")
                lines.append("  fpu+\(n): ours \(b[n..<n + 16].asHexBytes)")
            }
        }
        return lines.joined(separator: "\n")
    }

    /// The case as assembly, and the state before it.
    public func describe(_ test: TestCase) -> [String] {
        var lines = ["seed \(test.seed), about \(test.operation.rawValue)"]
        var address = test.eip
        let disassembler = Disassembler()
        for bytes in test.instructions {
            let text = disassembler.instruction(bytes, at: address, codeSize: test.is32 ? .bits32 : .bits16)
                .text
            lines.append("  \(hex(address)): \(bytes.asHexBytes)  \(text)")
            address &+= UInt32(bytes.count)
        }
        var before = Outcome()
        before.gpr = test.gpr
        before.eflags = test.eflags
        before.eip = test.eip
        before.selectors = test.selectors
        lines.append("  before: " + state(before))
        lines += floatingState(test)
        for patch in test.patches { lines.append("          [\(hex(patch.address))] = \(hex(patch.value))") }
        return lines
    }

    private func floatingState(_ test: TestCase) -> [String] {
        guard let image = test.fpu else { return [] }
        func number(_ place: Int, _ count: Int) -> String {
            "0x"
                + image[place..<place + count].reversed().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
                .joined()
        }
        var text = "fcw=\(number(0, 2)) fsw=\(number(2, 2)) ftw=\(number(4, 1)) mxcsr=\(number(24, 4))"
        for n in 0..<8 { text += " st\(n)=\(number(32 + 16 * n, 10))" }
        for n in 0..<8 { text += " xmm\(n)=\(number(160 + 16 * n, 16))" }
        return ["          " + text]
    }

    private func memoryDifferences(_ d: Disagreement) throws -> [String] {
        _ = host.run([d.test])
        let theirs = host.window
        _ = try subject(for: d.way).run(d.test, d.way)
        let mine = try subject(for: d.way).window()
        return theirs.indices.filter { theirs[$0] != mine[$0] }.prefix(16).map {
            let place = UInt32(ORACLE_WINDOW) + UInt32($0)
            return "  [\(hex(place))]: host \(hex(UInt32(theirs[$0]))), ours \(hex(UInt32(mine[$0])))"
        }
    }

    private func state(_ o: Outcome) -> String {
        let names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        var text = zip(names, o.gpr).map { "\($0)=\(hex($1))" }.joined(separator: " ")
        text += " eflags=\(hex(o.eflags)) eip=\(hex(o.eip))"
        if o.selectors != Selectors() {
            text += " es,cs,ss,ds,fs,gs=" + o.selectors.list.map { hex(UInt32($0)) }.joined(separator: ",")
        }
        if let trap = o.trap { text += " #\(trap)(\(hex(o.errorCode))) \(trap == 14 ? hex(o.address) : "")" }
        return text
    }

    private func names(_ flags: UInt32) -> String {
        let all: [(UInt32, String)] = [
            (EFLAGS.cf, "CF"), (EFLAGS.pf, "PF"), (EFLAGS.af, "AF"), (EFLAGS.zf, "ZF"), (EFLAGS.sf, "SF"),
            (EFLAGS.of, "OF"), (EFLAGS.df, "DF"), (EFLAGS.tf, "TF"), (EFLAGS.ac, "AC"), (EFLAGS.id, "ID"),
            (EFLAGS.nt, "NT"), (EFLAGS.interrupt, "IF"), (EFLAGS.iopl, "IOPL"), (EFLAGS.vip, "VIP"),
            (EFLAGS.vif, "VIF"),
        ]
        return all.filter { flags & $0.0 != 0 }.map(\.1).joined(separator: " ")
    }

    private func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }
}

// SPDX-License-Identifier: Apache-2.0
//
// Runs many cases on the host's processor and on ours, in both ways, and collects what differs.

import CHostOracle
import X86

/// A case on which the processors disagree.
public struct Disagreement: Sendable {
    public var test: TestCase
    public var way: Way
    public var host: Outcome
    public var ours: Outcome
    public var undefined: UInt32
    public var differences: [String]
}

public struct Summary: Sendable {
    public var cases = 0
    /// Cases about each operation.
    public var perOperation: [Operation: Int] = [:]
    /// Cases that ended in each exception, as the host has it.
    public var perVector: [UInt8: Int] = [:]
    /// Cases whose course hung on an undefined flag.
    public var indeterminate = 0
    public var disagreements: [Disagreement] = []
    /// Cases of which the oracle's server died.
    public var lost: [TestCase] = []
}

public final class Campaign {
    public let host: HostProcessor
    public let subject: Subject
    public static let pristine = makePristine()

    public init() throws {
        host = try HostProcessor(pristine: Campaign.pristine)
        subject = try Subject(pristine: Campaign.pristine)
    }

    /// The window's contents before each case, and the read-only page's: words with a liking for edges.
    private static func makePristine() -> [UInt8] {
        var random = Random(seed: 0x10E5)
        var bytes: [UInt8] = []
        while bytes.count < Int(ORACLE_WINDOW_SIZE.rawValue) + 4096 { bytes += random.value().bytes(4) }
        return bytes
    }

    /// Runs the cases with the seeds `first..<first + count`, row after row of `entries`.
    public func run(
        entries: [TableEntry] = Exclusions.integerEntries, first: UInt64, count: Int, stopAfter: Int = 20,
        make: (TableEntry, UInt64, Bool) -> TestCase = { Generator.make($0, seed: $1, localSegments: $2) }
    ) throws -> Summary {
        var summary = Summary()
        var next = 0
        while next < count && summary.disagreements.count < stopAfter {
            let size = min(HostProcessor.batch, count - next)
            let cases = (0..<size).map { n in
                let seed = first + UInt64(next + n)
                return make(entries[Int(seed % UInt64(entries.count))], seed, host.hasLocalSegments)
            }
            try run(cases, &summary)
            next += size
        }
        return summary
    }

    /// Runs given cases.
    public func run(_ cases: [TestCase], _ summary: inout Summary) throws {
        var rest = cases[...]
        while !rest.isEmpty {
            let batch = Array(rest)
            let outcomes = host.run(batch)
            for (test, outcome) in zip(batch, outcomes) { try compare(test, outcome, &summary) }
            rest = rest.dropFirst(outcomes.count)
            if outcomes.count < batch.count {
                summary.lost.append(batch[outcomes.count])
                rest = rest.dropFirst()
            }
        }
    }

    private func compare(_ test: TestCase, _ host: Outcome, _ summary: inout Summary) throws {
        summary.cases += 1
        summary.perOperation[test.operation, default: 0] += 1
        if let trap = host.trap { summary.perVector[trap, default: 0] += 1 }
        guard let stepped = try subject.run(test, .stepping) else {
            summary.indeterminate += 1
            return
        }
        let blocks = try subject.run(test, .blocks)
        for (way, ours) in [(Way.stepping, stepped.outcome), (.blocks, blocks?.outcome ?? stepped.outcome)] {
            let differences = Comparison.differences(host, ours, undefined: stepped.undefined)
            if !differences.isEmpty {
                summary.disagreements.append(
                    Disagreement(
                        test: test, way: way, host: host, ours: ours, undefined: stepped.undefined,
                        differences: differences))
                return
            }
        }
    }

    /// Whether a case still shows a difference; used to reduce it.
    func differs(_ test: TestCase, _ way: Way) throws -> Disagreement? {
        guard let host = self.host.run([test]).first, let stepped = try subject.run(test, .stepping) else {
            return nil
        }
        let ours = way == .stepping ? stepped.outcome : try subject.run(test, way)?.outcome ?? stepped.outcome
        let differences = Comparison.differences(host, ours, undefined: stepped.undefined)
        guard !differences.isEmpty else { return nil }
        return Disagreement(
            test: test, way: way, host: host, ours: ours, undefined: stepped.undefined, differences: differences)
    }
}

public enum Comparison {
    /// EFLAGS bits that are compared: all but RF, which tells how the state was saved, and the reserved ones.
    static let compared = EFLAGS.all & ~EFLAGS.rf

    public static func differences(_ host: Outcome, _ ours: Outcome, undefined: UInt32) -> [String] {
        var found: [String] = []
        let names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]
        if host.trap != ours.trap || host.errorCode != ours.errorCode || host.address != ours.address {
            found.append("exception")
        }
        for n in 0..<8 where host.gpr[n] != ours.gpr[n] { found.append(names[n]) }
        if (host.eflags ^ ours.eflags) & compared & ~undefined != 0 { found.append("eflags") }
        if host.eip != ours.eip { found.append("eip") }
        if host.selectors != ours.selectors { found.append("selectors") }
        if host.windowHash != ours.windowHash { found.append("memory") }
        if let a = host.fpu, let b = ours.fpu, a[..<416] != b[..<416] { found.append("fpu") }
        return found
    }
}

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
    /// The same, with other engines.
    private var others: [Way: Subject] = [:]
    public static let pristine = makePristine()

    /// The ways in which our processor runs each case.
    public let ways: [Way]

    public init(ways: [Way] = [.stepping, .blocks]) throws {
        self.ways = ways
        host = try HostProcessor(pristine: Campaign.pristine)
        subject = try Subject(pristine: Campaign.pristine, processorLimit: host.processorLimit)
        for way in ways where way == .translated || way == .windowed {
            others[way] = try Subject(
                pristine: Campaign.pristine, processorLimit: host.processorLimit, way: way)
        }
    }

    /// The window's contents before each case, and the read-only page's: words with a liking for edges.
    private static func makePristine() -> [UInt8] {
        var random = Random(seed: 0x10E5)
        var bytes: [UInt8] = []
        while bytes.count < Int(ORACLE_WINDOW_SIZE) + 4096 { bytes += random.value().bytes(4) }
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
        var rest = try cases.filter { try staysIn32Bits($0) }[...]
        summary.indeterminate += cases.count - rest.count
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

    /// False for a case that goes to the 64-bit code segment (0x30), from where the host would not come back.
    private func staysIn32Bits(_ test: TestCase) throws -> Bool {
        guard [.jmpFar, .callFar, .retFar, .iret].contains(test.operation) else { return true }
        guard let result = try subject.run(test, .stepping) else { return true }
        return result.outcome.selectors.cs >> 2 != 0x30 >> 2
    }

    private func compare(_ test: TestCase, _ host: Outcome, _ summary: inout Summary) throws {
        summary.cases += 1
        summary.perOperation[test.operation, default: 0] += 1
        if let trap = host.trap { summary.perVector[trap, default: 0] += 1 }
        for way in ways {
            guard let found = try difference(test, host, way) else {
                summary.indeterminate += 1
                return
            }
            if !found.differences.isEmpty {
                summary.disagreements.append(found)
                return
            }
        }
    }

    /// Runs the case on our processor and tells the differences; nil when the host is free to do as it likes.
    private func difference(_ test: TestCase, _ host: Outcome, _ way: Way) throws -> Disagreement? {
        // A jump or an access to where the processor comes and goes.
        if host.address >> 20 == UInt32(ORACLE_EXIT) >> 20 { return nil }
        // MASKMOVQ and MASKMOVDQU may fault for bytes that the mask leaves out (Intel SDM volume 2); AMD does, and has
        // entered MMX mode by then.
        if test.operation == .maskmov && host.trap != nil && host.eip == test.eip { return nil }
        guard let stepped = try subject.run(test, .stepping) else { return nil }
        var ours = stepped.outcome
        if way != .stepping, let other = try subject(for: way).run(test, way) { ours = other.outcome }
        let differences = Comparison.differences(
            host, ours, undefined: stepped.undefined, last: stepped.lastOperation,
            inParts: stepped.lastIsInParts)
        return Disagreement(
            test: test, way: way, host: host, ours: ours, undefined: stepped.undefined,
            differences: differences)
    }

    func subject(for way: Way) -> Subject { others[way] ?? subject }

    /// Whether a case still shows a difference; used to reduce it.
    func differs(_ test: TestCase, _ way: Way) throws -> Disagreement? {
        guard let host = host.run([test]).first else { return nil }
        guard let found = try difference(test, host, way), !found.differences.isEmpty else { return nil }
        return found
    }
}

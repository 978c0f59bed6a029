// SPDX-License-Identifier: Apache-2.0

import CPUTestSupport
import Testing
import X86

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whether the long form of a test is asked for.
let isLong = getenv("LGUEST_LONG_TESTS") != nil

@Suite("Our processor against the host's", .serialized)
struct HostComparisonTests {
    static let asked = getenv("LGUEST_CASES").flatMap { Int(String(cString: $0)) }
    static let first = getenv("LGUEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 0

    @Test("Integer instructions")
    func integer() throws {
        try compare(Exclusions.integerEntries, Self.asked ?? (isLong ? 10_000_000 : 100_000))
    }

    @Test("x87, MMX and SSE instructions")
    func floating() throws {
        try compare(Exclusions.floatingEntries, Self.asked ?? (isLong ? 3_000_000 : 20_000))
    }

    @Test("Integer instructions, translated", arguments: [Way.translated, .windowed])
    func translatedInteger(way: Way) throws {
        try compare(Exclusions.integerEntries, Self.asked ?? (isLong ? 10_000_000 : 100_000), [way])
    }

    @Test("x87, MMX and SSE instructions, translated", arguments: [Way.translated, .windowed])
    func translatedFloating(way: Way) throws {
        try compare(Exclusions.floatingEntries, Self.asked ?? (isLong ? 3_000_000 : 20_000), [way])
    }

    private func compare(
        _ entries: [TableEntry], _ count: Int, _ ways: [Way] = [.stepping, .blocks]
    ) throws {
        let campaign: Campaign
        do {
            campaign = try Campaign(ways: ways)
        } catch let error as HostUnavailable {
            print("skipped: no comparison with the host's processor: \(error)")
            return
        }
        let summary = try campaign.run(entries: entries, first: Self.first, count: count)
        for disagreement in summary.disagreements {
            Issue.record(Comment(rawValue: try campaign.describe(try campaign.reduce(disagreement))))
        }
        #expect(summary.lost.isEmpty, "the oracle died of \(summary.lost.map(\.seed))")
        print(
            "host comparison of \(ways.map(\.rawValue)): \(summary.cases) cases, \(summary.indeterminate) hung on undefined flags"
        )
        print(
            "by exception: \(summary.perVector.sorted { $0.key < $1.key }.map { "#\($0.key): \($0.value)" })")
    }
}

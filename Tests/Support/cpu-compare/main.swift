// SPDX-License-Identifier: Apache-2.0
//
// The comparisons as a program, for long runs and for looking at one case:
//   cpu-compare CASES [FIRST-SEED [OPERATION]]     with the host's processor
//   cpu-compare floating CASES [FIRST-SEED [OPERATION]]   the same for the x87, MMX and SSE units
//   cpu-compare translated [floating] CASES [SEED [OPERATION]]   the translator with the host's processor, by flat
//                                                  tables and by the window
//   cpu-compare decode STRINGS [SEED]              with Zydis
//   cpu-compare fuzz [translated] RUNS [SEED]      hostile guests, which must only not crash

import CPUTestSupport
import Trace
import X86

var arguments = CommandLine.arguments.dropFirst().map { String($0) }
let clock = ContinuousClock()
let start = clock.now
func seconds() -> Double {
    let elapsed = (clock.now - start).components
    return Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
}

if arguments.first == "decode" {
    let count = arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000
    let seed = arguments.dropFirst(2).first.flatMap { UInt64($0) } ?? 1
    let summary = DecoderCampaign.run(seed: seed, count: count)
    for difference in summary.differences {
        let text = Disassembler().instruction(
            difference.bytes, at: 0, codeSize: difference.code32 ? .bits32 : .bits16
        ).text
        print("\(difference.bytes.asHexBytes)  \(difference.code32 ? 32 : 16)  \(text): \(difference.what)")
    }
    print(
        "\(summary.strings) strings: \(summary.instructions) instructions, \(summary.refusedByBoth) refused by both,",
        "\(summary.intended) refused by us on purpose, \(summary.differences.count) kinds of difference,",
        "\(seconds()) s")
} else if arguments.first == "fuzz" {
    let translated = arguments.dropFirst().first == "translated"
    if translated { arguments.remove(at: arguments.startIndex + 1) }
    let count = arguments.dropFirst().first.flatMap { Int($0) } ?? 100_000
    let seed = arguments.dropFirst(2).first.flatMap { UInt64($0) } ?? 1
    let guest = try HostileGuest(translates: translated)
    var (instructions, events, shutdowns): (UInt64, Int, Int) = (0, 0, 0)
    for round in 0..<count {
        var random = Random(seed: seed &* 1_000_003 &+ UInt64(round))
        var input = HostileGuest.makeInput(&random)
        for _ in 0..<round & 3 { input = HostileGuest.mutate(input, &random) }
        let outcome = try guest.run(input)
        instructions += outcome.instructions
        events += outcome.events
        if outcome.shutdown { shutdowns += 1 }
    }
    print(
        "\(count) guests, \(instructions) instructions, \(events) events, \(shutdowns) shutdowns, \(seconds()) s"
    )
} else {
    let translated = arguments.first == "translated"
    if translated { arguments.removeFirst() }
    let floating = arguments.first == "floating"
    if floating { arguments.removeFirst() }
    let count = arguments.first.flatMap { Int($0) } ?? 100_000
    let first = arguments.dropFirst().first.flatMap { UInt64($0) } ?? 0
    let wanted = arguments.dropFirst(2).first
    let all = floating ? Exclusions.floatingEntries : Exclusions.integerEntries
    let entries = all.filter { wanted == nil || $0.operation.rawValue == wanted }
    let campaign = try Campaign(ways: translated ? [.translated, .windowed] : [.stepping, .blocks])
    let summary = try campaign.run(
        entries: entries, first: first, count: count, stopAfter: translated ? 1000 : 20)
    let kinds = Dictionary(grouping: summary.disagreements) {
        "\($0.way.rawValue) \($0.test.operation.rawValue): \($0.differences.joined(separator: " "))\($0.host.trap == nil ? "" : ", faulting")"
    }
    if translated {
        print(kinds.mapValues(\.count).sorted { $0.value > $1.value }.map { "\($0.key) × \($0.value)" })
    }
    for disagreement in summary.disagreements.prefix(40) {
        print(try campaign.describe(try campaign.reduce(disagreement)))
        print("")
    }
    for test in summary.lost { print("lost: " + campaign.describe(test).joined(separator: "\n")) }
    print("by exception: \(summary.perVector.sorted { $0.key < $1.key }.map { "#\($0.key): \($0.value)" })")
    let perOperation = summary.perOperation.sorted { $0.key.rawValue < $1.key.rawValue }
    if count >= 1_000_000 {
        print(perOperation.map { "\($0.key.rawValue) \($0.value)" }.joined(separator: ", "))
    }
    print(
        "\(summary.cases) cases, \(summary.indeterminate) hung on undefined flags,",
        "\(summary.disagreements.count) disagreements, \(seconds()) s")
}

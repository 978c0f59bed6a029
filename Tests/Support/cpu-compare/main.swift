// SPDX-License-Identifier: Apache-2.0
//
// The comparison with the host's processor as a program, for long runs and for looking at one case:
//   cpu-compare CASES [FIRST-SEED [OPERATION]]

import CPUTestSupport
import X86

let arguments = CommandLine.arguments.dropFirst().map { String($0) }
let count = arguments.first.flatMap { Int($0) } ?? 100_000
let first = arguments.dropFirst().first.flatMap { UInt64($0) } ?? 0
let wanted = arguments.dropFirst(2).first
let entries = Exclusions.integerEntries.filter { wanted == nil || $0.operation.rawValue == wanted }

let campaign = try Campaign()
let clock = ContinuousClock()
let start = clock.now
let summary = try campaign.run(entries: entries, first: first, count: count)
let seconds =
    Double((clock.now - start).components.attoseconds) / 1e18 + Double((clock.now - start).components.seconds)
for disagreement in summary.disagreements {
    print(try campaign.describe(try campaign.reduce(disagreement)))
    print("")
}
for test in summary.lost { print("lost: " + campaign.describe(test).joined(separator: "\n")) }
print("by exception: \(summary.perVector.sorted { $0.key < $1.key }.map { "#\($0.key): \($0.value)" })")
for (operation, cases) in summary.perOperation.sorted(by: { $0.key.rawValue < $1.key.rawValue })
where count >= 1_000_000 {
    print("\(operation.rawValue): \(cases)")
}
print(
    "\(summary.cases) cases, \(summary.indeterminate) hung on undefined flags, \(summary.disagreements.count) disagreements, \(seconds) s"
)

// SPDX-License-Identifier: Apache-2.0

import GuestInterfaces

extension Machine {
    /// What `--stats` prints.
    public var statistics: String {
        let lines = statisticsRows.map { row in
            "  \(row.name)\(String(repeating: " ", count: max(1, 28 - row.name.count)))\(row.value)"
        }
        return (["lguest: statistics"] + lines).joined(separator: "\n")
    }

    /// The same, by name.
    var statisticsRows: [(name: String, value: String)] {
        let seconds = Double(clock.monotonicNanoseconds() &- startTime) / 1e9
        let counters = engine.counters
        let guest = interface.counters
        let instructions = cpu.instructions
        var rows: [(name: String, value: String)] = []
        func add(_ name: String, _ value: some CustomStringConvertible) {
            rows.append((name, value.description))
        }
        add("guest instructions", instructions)
        add("seconds", rounded(seconds))
        add("running (not halted) seconds", rounded(Double(busyNanoseconds) / 1e9))
        add("million instructions/s", rounded(Double(instructions) / max(1, Double(busyNanoseconds)) * 1000))
        add("blocks built", counters.blocksBuilt)
        add("instructions decoded", counters.instructionsDecoded)
        add("blocks invalidated", counters.blocksInvalidated)
        add("code cache flushes", counters.flushes)
        add("single steps", counters.singleSteps)
        for detail in engine.details { add(detail.name, detail.value) }
        add("interrupts", guest.interrupts)
        add("emulated instructions", guest.emulatedInstructions)
        for detail in interface.details { add(detail.name, detail.value) }
        for (vector, count) in guest.traps.enumerated() where count > 0 { add("trap \(vector)", count) }
        return rows
    }

    private func rounded(_ value: Double) -> String {
        let thousandths = Int((value * 1000).rounded())
        let fraction = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}

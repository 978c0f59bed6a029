// SPDX-License-Identifier: Apache-2.0
//
// What `--stats` shows: the values of all counters of a machine, as text or as JSON.

import CHost
import Engine
import GuestInterfaces
import Support
import X86

/// The form in which statistics are shown.
public enum StatisticsFormat: Sendable {
    case text
    /// One object on lines of its own.
    case json
}

extension Machine {
    /// All counters that this machine has, in the order of `Counter`.
    public var readings: [CounterReading] {
        let counters = engine.counters
        let guest = interface.counters
        var list = [
            CounterReading(.instructions, cpu.instructions),
            CounterReading(.elapsed, clock.monotonicNanoseconds() &- startTime),
            CounterReading(.busy, busyNanoseconds),
            CounterReading(.blocksBuilt, counters.blocksBuilt),
            CounterReading(.instructionsDecoded, counters.instructionsDecoded),
            CounterReading(.blocksInvalidated, counters.blocksInvalidated),
            CounterReading(.codeFlushes, counters.flushes),
            CounterReading(.singleSteps, counters.singleSteps),
            CounterReading(.pageWalks, cpu.system.pageWalks),
            CounterReading(.interrupts, guest.interrupts),
            CounterReading(.emulatedInstructions, guest.emulatedInstructions),
        ]
        list += hostTime.readings + engine.details + exitCounts.readings(.exits) + interface.details
        for (vector, count) in guest.traps.enumerated() where count > 0 {
            list.append(CounterReading(.traps, label: String(vector), count))
        }
        return Counter.allCases.flatMap { counter in list.filter { $0.counter == counter } }
    }

    /// What `--stats` prints.
    public func statistics(_ format: StatisticsFormat = .text) -> String {
        switch format {
        case .text:
            let lines = statisticsRows.map { row in
                "  \(row.name)\(String(repeating: " ", count: max(1, 32 - row.name.count)))\(row.value)"
            }
            return (["lguest: statistics"] + lines).joined(separator: "\n")
        case .json: return StatisticsJSON.text(readings)
        }
    }

    /// The same, name by name.
    var statisticsRows: [(name: String, value: String)] {
        // The last word of a row is its value.
        let speed = Double(cpu.instructions) / max(1, Double(busyNanoseconds)) * 1000
        var rows: [(name: String, value: String)] = []
        for reading in readings {
            let name = reading.counter.name + (reading.label.map { ": \($0)" } ?? "")
            switch reading.counter.unit {
            case .nanoseconds: rows.append((name + " seconds", decimal(Double(reading.value) / 1e9)))
            case .bytes, .count: rows.append((name, String(reading.value)))
            }
            if reading.counter == .busy { rows.append(("million instructions/s", decimal(speed))) }
        }
        return rows
    }
}

/// A number with three digits behind the point.
private func decimal(_ value: Double) -> String {
    let thousandths = Int((value * 1000).rounded())
    let fraction = String(thousandths % 1000)
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
}

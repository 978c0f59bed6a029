// SPDX-License-Identifier: Apache-2.0
//
// How often each thing happened, and what it cost: by kind of event, traps also by vector, interrupts by
// number, system calls by name.

import Tap

struct CostTable {
    struct Row {
        var name: String
        var kind: Int
        var count: UInt64 = 0
        var queued: UInt64 = 0
        /// Those whose time is known.
        var timed: UInt64 = 0
        var nanoseconds: UInt64 = 0
        var longest: UInt64 = 0
        /// How many took less than 2^n ns (and not less than half of that).
        var histogram = [UInt64](repeating: 0, count: 32)

        mutating func add(_ event: SeenEvent) {
            count += 1
            if event.isQueued { queued += 1 }
            guard let duration = event.duration else { return }
            timed += 1
            nanoseconds += duration
            longest = max(longest, duration)
            histogram[min(31, 64 - duration.leadingZeroBitCount)] += 1
        }
    }

    private struct Key: Hashable {
        var kind: Int
        var detail: UInt32
    }

    private var rows: [Key: Row] = [:]
    private static let limit = 2000

    mutating func add(_ event: SeenEvent, _ kind: EventKind) {
        let key = Key(kind: event.kind, detail: Self.detail(event, kind))
        if rows[key] == nil, rows.count >= Self.limit { return }
        rows[key, default: Row(name: "", kind: event.kind)].add(event)
        if rows[key]?.count == 1 { rows[key]?.name = Self.name(kind, key.detail) }
    }

    /// What tells apart events of one kind.
    private static func detail(_ event: SeenEvent, _ kind: EventKind) -> UInt32 {
        if kind.categories.contains(.syscall) { return event.arguments[0] }
        if kind.categories.contains(.trap) || kind.categories == .irq {
            let index = kind.arguments.firstIndex { $0.format == .vector }
            return index.map { event.arguments[$0 & 3] } ?? 0
        }
        return 0
    }

    private static func name(_ kind: EventKind, _ detail: UInt32) -> String {
        if kind.categories.contains(.syscall) {
            return SystemCallNames.name(detail) ?? "number \(detail)"
        }
        guard kind.arguments.contains(where: { $0.format == .vector }) else { return kind.name }
        if kind.categories.contains(.trap) {
            return "\(kind.name) \(detail)" + (ExceptionNames.name(detail).map { " (\($0))" } ?? "")
        }
        return kind.categories == .irq ? "\(kind.name) \(Int(detail) - 32)" : kind.name
    }

    /// The most expensive first.
    func json(_ kinds: [EventKind]) -> JSON {
        let sorted = rows.values.sorted {
            ($0.nanoseconds, $0.count, $1.name, $1.kind) > ($1.nanoseconds, $1.count, $0.name, $0.kind)
        }
        return .list(
            sorted.map { row in
                .object([
                    ("name", .string(row.name)), ("event", .string(kinds[row.kind].name)),
                    ("topic", .string(kinds[row.kind].topic)),
                    ("categories", .list(kinds[row.kind].categories.memberNames.map(JSON.string))),
                    ("count", .integer(row.count)), ("queued", .integer(row.queued)),
                    ("timed", .integer(row.timed)), ("ns", .integer(row.nanoseconds)),
                    ("longest", .integer(row.longest)),
                    ("histogram", .list(row.histogram.map { JSON.integer($0) })),
                ])
            })
    }
}

/// Which guest function makes which hypercall, how often.
struct CallerTable {
    private struct Key: Hashable {
        var symbol: Substring
        var kind: Int
    }

    private var counts: [Key: (count: UInt64, nanoseconds: UInt64)] = [:]
    private static let limit = 20_000

    mutating func add(_ event: SeenEvent) {
        // The offset within the function is left out.
        let symbol = event.place.prefix { $0 != "+" }
        let key = Key(symbol: event.isQueued ? "(from the ring)" : symbol, kind: event.kind)
        if counts[key] == nil, counts.count >= Self.limit { return }
        counts[key, default: (0, 0)].count += 1
        counts[key, default: (0, 0)].nanoseconds += event.duration ?? 0
    }

    func json(_ kinds: [EventKind]) -> JSON {
        let sorted = counts.sorted {
            ($0.value.count, $1.key.symbol, $1.key.kind) > ($1.value.count, $0.key.symbol, $0.key.kind)
        }
        return .list(
            sorted.prefix(400).map { key, value in
                .object([
                    ("symbol", .string(String(key.symbol))), ("call", .string(kinds[key.kind].name)),
                    ("topic", .string(kinds[key.kind].topic)), ("count", .integer(value.count)),
                    ("ns", .integer(value.nanoseconds)),
                ])
            })
    }
}

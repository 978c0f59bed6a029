// SPDX-License-Identifier: Apache-2.0
//
// `--trace-filter 'symbol=load_ucode_*'`: which of the wanted events are shown. Several filters must all let
// an event through; within one, one of the alternatives behind commas suffices. `symbol=do_*,task=sh` are two.

import Support
import Tap

public struct TraceFilter: Sendable, Equatable {
    enum Rule: Sendable, Equatable {
        /// The function where the event came from; of one that only passes requests on, also its callers.
        case symbol([Glob])
        case vector([UInt32])
        /// By name, or by the address of its page table.
        case task([Glob], [UInt32])
        case event([Glob])
        case ring([UInt8])
    }

    var rules: [Rule] = []
    public var isEmpty: Bool { rules.isEmpty }

    public init() {}

    /// Throws `.badInput` for what is no filter.
    public init(parsing texts: [String]) throws(LguestError) {
        for text in texts {
            // A piece with a key of its own is another filter; a first one without is refused as such.
            var filters: [(key: Substring, values: [Substring])] = []
            for piece in text.split(separator: ",") {
                let parts = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 {
                    filters.append((parts[0], parts[1].isEmpty ? [] : [parts[1]]))
                } else if filters.isEmpty {
                    throw Self.refusal(text)
                } else {
                    filters[filters.count - 1].values.append(piece)
                }
            }
            if filters.isEmpty { throw Self.refusal(text) }
            for filter in filters { rules.append(try Self.rule(filter.key, filter.values, text)) }
        }
    }

    private static func rule(
        _ key: Substring, _ values: [Substring], _ text: String
    ) throws(LguestError) -> Rule {
        guard !values.isEmpty else { throw refusal(text) }
        switch key {
        case "symbol": return .symbol(values.map { Glob($0) })
        case "event": return .event(values.map { Glob($0) })
        case "vector":
            let numbers = values.compactMap { number($0) }
            guard numbers.count == values.count, numbers.allSatisfy({ $0 < 256 }) else { throw refusal(text) }
            return .vector(numbers)
        case "task":
            return .task(values.map { Glob($0) }, values.compactMap { $0.hasPrefix("0x") ? number($0) : nil })
        case "mode":
            let rings: [[UInt8]] = try values.map { value throws(LguestError) in
                switch value {
                case "user": [3]
                case "kernel": [0, 1, 2]
                case "host": [TraceEvent.hostRing]
                default: throw refusal(text)
                }
            }
            return .ring(rings.flatMap { $0 })
        default: throw refusal(text)
        }
    }

    private static func number(_ text: some StringProtocol) -> UInt32? {
        text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    }

    private static func refusal(_ text: String) -> LguestError {
        LguestError(
            .badInput, "'\(text.asOneLine)' is no trace filter",
            hint:
                "symbol=GLOB, event=GLOB, vector=NUMBER, task=NAME or task=0xCR3, mode=kernel|user|host; alternatives behind commas"
        )
    }

    func matches(_ event: TraceEvent, _ tap: TraceTap, _ names: GuestNames) -> Bool {
        rules.allSatisfy { rule in
            switch rule {
            case .symbol(let globs): Self.symbols(event, tap, names).contains { Self.any(globs, $0.utf8) }
            case .vector(let wanted): Self.vector(event, tap).map(wanted.contains) ?? false
            case .task(let globs, let roots):
                roots.contains(event.cr3) || event.task != 0 && Self.any(globs, names.task(event.task))
            case .event(let globs):
                Int(event.kind) < tap.kinds.count && Self.any(globs, tap.kinds[Int(event.kind)].name.utf8)
            case .ring(let rings): rings.contains(event.ring)
            }
        }
    }

    private static func any(_ globs: [Glob], _ text: some Collection<UInt8>) -> Bool {
        globs.contains { $0.matches(text) }
    }

    private static func symbols(_ event: TraceEvent, _ tap: TraceTap, _ names: GuestNames) -> [String] {
        guard event.ring != TraceEvent.hostRing else { return [] }
        let addresses = [event.eip, event.callers[0], event.callers[1]].filter { $0 != 0 }
        return addresses.compactMap { names.place($0, tap).symbol }
    }

    private static func vector(_ event: TraceEvent, _ tap: TraceTap) -> UInt32? {
        if Int(event.kind) == CommonKind.systemCall.rawValue { return 0x80 }
        guard Int(event.kind) < tap.kinds.count else { return nil }
        let arguments = tap.kinds[Int(event.kind)].arguments
        let index = arguments.firstIndex {
            $0.format == .vector || $0.format == .hidden && $0.name == "vector"
        }
        return index.map { event.arguments[$0 & 3] }
    }
}

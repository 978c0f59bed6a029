// SPDX-License-Identifier: Apache-2.0
//
// How one system call, one page fault and one network packet travel: of all that a run holds, a few are kept that
// show much in few steps.

import Tap

struct Journeys {
    enum Topic: Int, CaseIterable {
        case systemCall, pageFault, packetOut, packetIn
        case bufferOut

        var title: String {
            switch self {
            case .systemCall: "a system call"
            case .pageFault: "a page fault"
            case .packetOut: "a network packet on its way out"
            case .packetIn: "a network packet on its way in"
            case .bufferOut: "a buffer on its way through a virtqueue"
            }
        }
    }

    struct Journey {
        var name: String
        var steps: [SeenEvent]
        /// Different kinds of events in it.
        var variety: Int
    }

    /// Steps that are kept at most.
    private static let limit = 40
    /// Journeys of one topic that are shown.
    private static let shown = 3
    /// More kinds of events than these make a journey longer, and not clearer.
    private static let enough = 6

    private var open: [Topic: Journey] = [:]
    private(set) var best: [Topic: [Journey]] = [:]
    /// The last few events, for what a packet's journey begins with.
    private var recent: [SeenEvent] = []

    mutating func add(_ event: SeenEvent, _ role: EventRole, _ kind: EventKind, _ names: [String]) {
        for topic in Topic.allCases where open[topic] != nil {
            open[topic]?.steps.append(event)
            if (open[topic]?.steps.count ?? 0) > Self.limit { open[topic] = nil }
        }
        switch role {
        case .systemCall:
            begin(.systemCall, event, SystemCallNames.name(event.arguments[0]) ?? "system call")
        case .pageFault where open[.pageFault] == nil:
            begin(.pageFault, event, event.ring == 3 ? "in a program" : "in the kernel")
        case .toUser:
            for topic in [Topic.systemCall, .pageFault] where returns(topic, event) { finish(topic) }
        case .take, .give, .interrupt: follow(event, role, names)
        default: break
        }
        if kind.categories.contains(.pagetable), open[.pageFault]?.steps.first?.ring ?? 3 != 3 {
            finish(.pageFault)
        }
        recent.append(event)
        if recent.count > 16 { recent.removeFirst(8) }
    }

    /// Whether the program that the journey began in goes on: not another one, that the kernel has chosen meanwhile.
    private func returns(_ topic: Topic, _ event: SeenEvent) -> Bool {
        guard let first = open[topic]?.steps.first, first.ring == 3 else { return true }
        return first.cr3 == event.cr3 && first.task == event.task
    }

    /// Buffers: out from the driver's kick to the interrupt that gives it back, in from the device's filling to the
    /// driver's handler.
    private mutating func follow(_ event: SeenEvent, _ role: EventRole, _ names: [String]) {
        let queue = names.indices.contains(Int(event.arguments[0])) ? names[Int(event.arguments[0])] : ""
        switch role {
        case .take where queue == "net.tx": beginBuffer(.packetOut, event, "\(event.arguments[2]) bytes")
        case .take where !queue.hasSuffix(".rx"): beginBuffer(.bufferOut, event, queue)
        case .give where queue == "net.rx": begin(.packetIn, event, "\(event.arguments[2]) bytes")
        case .give where queue == "net.tx": finish(.packetOut)
        case .give where !queue.hasSuffix(".rx"): finish(.bufferOut)
        case .interrupt where !Self.isTimer(event): finish(.packetIn)
        default: break
        }
    }

    /// The timer's interrupts come in between and have nothing to do with a packet: number 0, and of a local APIC those
    /// at the top, where Linux has it and no device.
    private static func isTimer(_ event: SeenEvent) -> Bool {
        event.arguments[0] == 0 || event.arguments[1] >= 0xEC
    }

    private mutating func beginBuffer(_ topic: Topic, _ event: SeenEvent, _ name: String) {
        guard open[topic] == nil else { return }
        begin(topic, event, name)
        // With what led to it: the program's system call, and the register write and the kick that are still going on.
        let causes = recent.filter { $0.end >= event.time && $0.duration != nil }
        let call = open[.systemCall]?.steps.first.flatMap { call in
            call.cr3 == event.cr3 && call.task == event.task ? call : nil
        }
        open[topic]?.steps.insert(contentsOf: [call].compactMap { $0 } + causes, at: 0)
    }

    private mutating func begin(_ topic: Topic, _ event: SeenEvent, _ name: String) {
        open[topic] = Journey(name: name, steps: [event], variety: 0)
    }

    private mutating func finish(_ topic: Topic) {
        guard var journey = open.removeValue(forKey: topic), journey.steps.count > 1 else { return }
        journey.variety = Set(journey.steps.map(\.kind)).count
        var kept = best[topic] ?? []
        // One of each name, those that show enough, and of them the shortest.
        if let same = kept.firstIndex(where: { $0.name == journey.name }) {
            if Self.isBetter(journey, kept[same]) { kept[same] = journey }
        } else {
            kept.append(journey)
        }
        kept.sort(by: Self.isBetter)
        best[topic] = Array(kept.prefix(Self.shown))
    }

    private static func isBetter(_ a: Journey, _ b: Journey) -> Bool {
        let (one, other) = (min(a.variety, enough), min(b.variety, enough))
        return one != other ? one > other : a.steps.count < b.steps.count
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Whose time it was: the guest's kernel, its programs, the hypervisor, devices, nobody. Kept in a fixed
// number of slices that double their length when a run gets longer.

import Tap

struct TimeShares {
    enum Owner: Int, CaseIterable {
        case kernel, program, hypervisor, devices, idle
    }

    private static let slices = 1024

    /// Nanoseconds of one slice.
    private(set) var length: UInt64 = 1000
    private var shares = [[UInt64]](
        repeating: [UInt64](repeating: 0, count: Owner.allCases.count), count: slices)
    private(set) var totals = [UInt64](repeating: 0, count: Owner.allCases.count)
    /// All before this is accounted for.
    private var cursor: UInt64?
    private var isUser = false

    mutating func add(_ event: SeenEvent, _ role: EventRole, _ categories: TraceCategory) {
        let start = event.time
        let from = cursor ?? start
        if start >= from {
            // Until the event the guest ran: a program if it is the one that was interrupted.
            let ranUser = event.ring == 3 && role != .toUser || event.ring == TraceEvent.hostRing && isUser
            account(ranUser ? .program : .kernel, from, start)
            cursor = start
        }
        if event.end > (cursor ?? 0) {
            account(Self.owner(role, categories), cursor ?? start, event.end)
            cursor = event.end
        }
        switch role {
        case .toUser: isUser = true
        case .systemCall, .pageFault, .trap, .interrupt: isUser = false
        default: break
        }
    }

    private static func owner(_ role: EventRole, _ categories: TraceCategory) -> Owner {
        if role == .idle { return .idle }
        if role == .poll { return .devices }
        return categories.isDisjoint(with: [.virtio, .mmio, .io]) ? .hypervisor : .devices
    }

    private mutating func account(_ owner: Owner, _ from: UInt64, _ until: UInt64) {
        guard until > from else { return }
        totals[owner.rawValue] += until - from
        while until / length >= UInt64(Self.slices) { halve() }
        var at = from
        while at < until {
            let slice = Int(at / length)
            let end = min(until, UInt64(slice + 1) * length)
            shares[slice][owner.rawValue] += end - at
            at = end
        }
    }

    /// Two slices become one.
    private mutating func halve() {
        length *= 2
        for slice in 0..<Self.slices {
            let (left, right) = (2 * slice, 2 * slice + 1)
            for owner in Owner.allCases.indices {
                shares[slice][owner] =
                    left < Self.slices ? shares[left][owner] + shares[right][owner] : 0
            }
        }
    }

    /// The end of what was accounted for, in nanoseconds.
    var end: UInt64 { cursor ?? 0 }

    var json: JSON {
        let used = min(Self.slices, Int(end / length) + 1)
        return .object([
            ("slice", .integer(length)), ("end", .integer(end)),
            ("owners", .list(Owner.allCases.map { .string("\($0)") })),
            ("totals", .list(totals.map { JSON.integer($0) })),
            ("shares", .list(shares.prefix(used).map { .list($0.map { JSON.integer($0) }) })),
        ])
    }
}

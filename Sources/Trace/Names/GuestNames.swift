// SPDX-License-Identifier: Apache-2.0
//
// Names for what events hold as numbers: places in the guest by symbol, tasks by name. Both are looked up
// once and kept, since a trace shows the same few thousand again and again.

import Support
import Tap

/// Where names come from. Called on the thread of the virtual CPU.
public struct NameSources {
    /// Names a guest-virtual address.
    public var symbol: (UInt32) -> SymbolicAddress?
    /// The name of the task whose record is at this guest-virtual address.
    public var task: (UInt32) -> String?

    public init(
        symbol: @escaping (UInt32) -> SymbolicAddress? = { _ in nil },
        task: @escaping (UInt32) -> String? = { _ in nil }
    ) {
        self.symbol = symbol
        self.task = task
    }
}

/// A place in the guest, as a trace shows it.
public final class GuestPlace {
    /// `do_page_fault+0x3c`, or the address where there is no symbol.
    public let text: [UInt8]
    /// `do_page_fault`; nil where there is no symbol.
    public let symbol: String?
    /// Whether it only passes requests on (`TraceTap.stubs`).
    let isStub: Bool

    init(_ address: UInt32, _ found: SymbolicAddress?, stubs: [String]) {
        symbol = found?.symbol.name
        description = found?.description ?? address.asHex
        text = Array(description.utf8)
        isStub = symbol.map { name in stubs.contains { name.hasPrefix($0) } } ?? false
    }

    /// As a string.
    public let description: String
}

public final class GuestNames {
    private let sources: NameSources
    private var places: [UInt32: GuestPlace] = [:]
    private var tasks: [UInt32: [UInt8]] = [:]
    private static let limit = 1 << 17

    public init(_ sources: NameSources) { self.sources = sources }

    public func place(_ address: UInt32, _ tap: TraceTap) -> GuestPlace {
        if let known = places[address] { return known }
        if places.count >= Self.limit { places.removeAll() }
        let made = GuestPlace(address, sources.symbol(address), stubs: tap.stubs)
        places[address] = made
        return made
    }

    /// Where an event comes from: the instruction itself, or the function that had it carried out by a stub.
    public func origin(of event: TraceEvent, _ tap: TraceTap) -> GuestPlace {
        let here = place(event.eip, tap)
        guard here.isStub else { return here }
        // Where all of them are such functions, the outermost that is known tells most.
        var outermost = here
        for index in 0..<2 where event.callers[index] != 0 {
            let caller = place(event.callers[index], tap)
            guard caller.symbol != nil else { break }
            outermost = caller
            if !caller.isStub { break }
        }
        return outermost
    }

    /// The task's name, empty where it is not known.
    public func task(_ record: UInt32) -> [UInt8] {
        guard record != 0 else { return [] }
        if let known = tasks[record] { return known }
        let name = Array((sources.task(record) ?? "").utf8)
        tasks[record] = name
        return name
    }

    /// Tasks change their names (exec), and records are used again: forget them from time to time.
    public func forgetTasks() { tasks.removeAll(keepingCapacity: true) }

    /// Symbols have come up that were not there before.
    public func forgetPlaces() { places.removeAll() }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a person can ask to see. A category is one bit; what is wanted is one word that every edge of guest
// code looks at before it does anything for a trace.

/// A set of kinds of events, as `--trace=hypercall,irq` names them.
public struct TraceCategory: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The guest asks its hypervisor for something.
    @inlinable public static var hypercall: TraceCategory { TraceCategory(rawValue: 1 << 0) }
    /// An exception arrives in the guest's kernel.
    @inlinable public static var trap: TraceCategory { TraceCategory(rawValue: 1 << 1) }
    /// A program in ring 3 calls its kernel.
    @inlinable public static var syscall: TraceCategory { TraceCategory(rawValue: 1 << 2) }
    /// An interrupt is delivered to the guest.
    @inlinable public static var irq: TraceCategory { TraceCategory(rawValue: 1 << 3) }
    /// The guest says that it has changed its page tables.
    @inlinable public static var pagetable: TraceCategory { TraceCategory(rawValue: 1 << 4) }
    /// IN and OUT.
    @inlinable public static var io: TraceCategory { TraceCategory(rawValue: 1 << 5) }
    /// A device register in memory.
    @inlinable public static var mmio: TraceCategory { TraceCategory(rawValue: 1 << 6) }
    /// Buffers that travel through virtqueues.
    @inlinable public static var virtio: TraceCategory { TraceCategory(rawValue: 1 << 7) }
    /// Control registers.
    @inlinable public static var cr: TraceCategory { TraceCategory(rawValue: 1 << 8) }
    /// Model-specific registers.
    @inlinable public static var msr: TraceCategory { TraceCategory(rawValue: 1 << 9) }
    /// The guest goes on in another address space or on another kernel stack.
    @inlinable public static var schedule: TraceCategory { TraceCategory(rawValue: 1 << 10) }
    /// The guest's kernel goes back to a program in ring 3.
    @inlinable public static var user: TraceCategory { TraceCategory(rawValue: 1 << 11) }
    /// The guest is halted, or the hypervisor looks after the host's side of the devices.
    @inlinable public static var idle: TraceCategory { TraceCategory(rawValue: 1 << 12) }

    /// Both sets. Unlike a list of members it is a constant wherever it is used.
    @inlinable
    public static func | (left: TraceCategory, right: TraceCategory) -> TraceCategory {
        TraceCategory(rawValue: left.rawValue | right.rawValue)
    }

    /// Every category with its name, in the order in which help texts list them.
    public static let names: [(name: String, category: TraceCategory)] = [
        ("hypercall", .hypercall), ("trap", .trap), ("syscall", .syscall), ("irq", .irq),
        ("pagetable", .pagetable), ("io", .io), ("mmio", .mmio), ("virtio", .virtio), ("cr", .cr),
        ("msr", .msr), ("schedule", .schedule), ("user", .user), ("idle", .idle),
    ]

    public static let all = TraceCategory(names.map(\.category))

    /// The names of the members, in the order of `names`.
    public var memberNames: [String] { Self.names.filter { contains($0.category) }.map(\.name) }

    /// From `hypercall,irq`, or `all`. Nil, and the word, when a word is no category.
    public static func parse(_ list: String) -> (categories: TraceCategory, unknown: String?) {
        var result: TraceCategory = []
        for word in list.split(separator: ",", omittingEmptySubsequences: false) {
            if word == "all" {
                result = .all
            } else if let known = names.first(where: { $0.name == word }) {
                result.formUnion(known.category)
            } else {
                return ([], String(word))
            }
        }
        return (result, nil)
    }
}

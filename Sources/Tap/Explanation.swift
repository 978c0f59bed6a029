// SPDX-License-Identifier: Apache-2.0
//
// Paragraphs for `lguest explain`: each part explains what is its own, in the words of the field.

/// What one thing is: a hypercall, a trap, a device register, a field.
public struct Explanation: Sendable, Equatable {
    public enum Section: String, CaseIterable, Sendable {
        case hypercall = "Hypercalls"
        case trap = "Traps and interrupts"
        case sharedPage = "Fields of the shared page"
        case register = "Device registers"
        case event = "Other events"
    }

    public var section: Section
    /// By which it is found first; the others are as good: `LHCALL_SET_PTE`, `SET_PTE`, `14`.
    public var names: [String]
    /// One line: what it is.
    public var title: String
    /// When a kernel uses it, and what happens.
    public var use: String
    /// What native hardware does instead.
    public var native: String
    /// How Xen PV and PVM solve the same problem; nil where there is no counterpart.
    public var others: String?

    public init(
        _ section: Section, _ names: [String], _ title: String, use: String, native: String,
        others: String? = nil
    ) {
        self.section = section
        self.names = names
        self.title = title
        self.use = use
        self.native = native
        self.others = others
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// One line of the sandbox's list: a system call that is allowed, for any arguments or for certain ones.

/// A system call and what its arguments must be. Several rules for one call allow what any of them allows.
public struct SystemCallRule: Equatable, Sendable {
    /// A condition on one argument, counted from 0.
    public enum Test: Equatable, Sendable {
        case equal(UInt32, UInt64)
        /// The argument's bits in `mask` are `value`.
        case masked(UInt32, mask: UInt64, value: UInt64)
    }

    /// The kernel's name: "pread64".
    public let name: String
    /// All of these must hold.
    public let tests: [Test]

    init(_ name: String, _ tests: Test...) {
        self.name = name
        self.tests = tests
    }

    /// The same call with each of these values of one argument.
    static func each(_ name: String, argument: UInt32, _ values: [UInt64]) -> [SystemCallRule] {
        values.map { SystemCallRule(name, .equal(argument, $0)) }
    }
}

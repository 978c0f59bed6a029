// SPDX-License-Identifier: Apache-2.0
//
// One thing that the doctor has looked at.

/// What was tried, and what came of it.
public struct Finding: Sendable {
    public enum Status: String, Sendable {
        case works
        /// It works, but less well than it could.
        case limited
        case missing
    }

    public let name: String
    public let status: Status
    /// What was found.
    public let found: String
    /// What does not work, or not as well, without it; nil when nothing is amiss.
    public let cost: String?
    /// How to get it; nil when nothing is amiss.
    public let remedy: String?
    /// Whether no guest runs without it.
    public let isRequired: Bool

    /// All is well.
    public init(_ name: String, works found: String) {
        (self.name, status, self.found, cost, remedy, isRequired) = (name, .works, found, nil, nil, false)
    }

    /// Something is amiss.
    public init(
        _ name: String, _ status: Status, _ found: String, cost: String, remedy: String,
        isRequired: Bool = false
    ) {
        self.name = name
        self.status = status
        self.found = found
        self.cost = cost
        self.remedy = remedy
        self.isRequired = isRequired
    }
}

/// Looks at the host by trying what guests need.
public enum Doctor {
    /// All findings, the most important first. Some of them need a moment.
    public static func examine() -> [Finding] {
        [
            MemoryProbes.addressSpace(), MemoryProbes.freeMemory(), MemoryProbes.mappings(),
            CodeProbes.memoryFile(), CodeProbes.executableMemory(), CodeProbes.processor(),
            SandboxProbe.sandbox(),
        ] + NetworkProbes.all() + TerminalProbes.all() + DiskProbes.all() + ProgramProbes.all()
    }
}

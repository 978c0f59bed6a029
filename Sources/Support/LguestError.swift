// SPDX-License-Identifier: Apache-2.0

/// What went wrong, for a person: one line that names the thing and the reason, and
/// where there is one, what to do about it.
public struct LguestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of failure it is; it decides the exit status of the command.
    public struct Code: Equatable, Sendable {
        public let name: String
        /// Exit status of `lguest` for this kind of failure.
        public let exitStatus: Int32

        public init(name: String, exitStatus: Int32) {
            self.name = name
            self.exitStatus = exitStatus
        }

        /// The command line, a file or a size was not usable: nothing was started.
        public static let badInput = Code(name: "bad input", exitStatus: 2)
        /// The host denied something that is needed.
        public static let host = Code(name: "host", exitStatus: 2)
        /// The guest did what cannot be carried out.
        public static let guest = Code(name: "guest", exitStatus: 1)
    }

    public let code: Code
    /// One line, no full stop, naming the file or value meant.
    public let message: String
    /// What to do about it, one line, or nil.
    public let hint: String?

    public init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    public var description: String {
        hint.map { "\(message) (\($0))" } ?? message
    }
}

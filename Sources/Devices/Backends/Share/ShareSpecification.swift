// SPDX-License-Identifier: Apache-2.0
//
// A folder to share, as people write it: `DIR` or `DIR:rw`.

import Support

public struct ShareSpecification: Equatable, Sendable {
    /// The tag of the standard streams.
    public static let streamsTag = "lguest.streams"
    /// The tag of the kernel's modules.
    public static let modulesTag = "lguest.modules"

    /// The tag of the share that is the `index`-th on the command line: share, share2, share3 ...
    public static func tag(_ index: Int) -> String { index == 0 ? "share" : "share\(index + 1)" }

    public var path: String
    /// By which the guest mounts it.
    public var tag: String
    public var isReadOnly: Bool

    public init(path: String, tag: String, isReadOnly: Bool = true) {
        self.path = path
        self.tag = tag
        self.isReadOnly = isReadOnly
    }

    /// Reads `DIR`, `DIR:ro` or `DIR:rw`. Throws `.badInput` for an empty name.
    public init(parsing text: String, tag: String) throws(LguestError) {
        let isWritable = text.hasSuffix(":rw")
        path = isWritable || text.hasSuffix(":ro") ? String(text.dropLast(3)) : text
        guard !path.isEmpty else {
            throw LguestError(.badInput, "a share needs a folder", hint: "--share DIR or --share DIR:rw")
        }
        self.tag = tag
        isReadOnly = !isWritable
    }
}

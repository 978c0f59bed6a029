// SPDX-License-Identifier: Apache-2.0
//
// `--block=FILE[,readonly|,overlay[=OVERLAYFILE]]` in words.

import Support

/// Which file is a disk, and what may be done to it.
public struct DiskSpecification: Equatable, Sendable {
    public enum Access: Equatable, Sendable {
        case readWrite
        case readOnly
        /// Written to a second file, or nil for a temporary one; the image stays as it is.
        case overlay(String?)
    }

    public var path: String
    public var access: Access

    public init(path: String, access: Access = .readWrite) {
        self.path = path
        self.access = access
    }

    /// Reads the option's value. File names may contain commas, as in the original: only the words that
    /// mean something here end a name. Throws `.badInput` when there is no name.
    public init(parsing text: String) throws(LguestError) {
        path = text
        access = .readWrite
        if let name = text.withoutEnding(",readonly") {
            (path, access) = (name, .readOnly)
        } else if let name = text.withoutEnding(",overlay") {
            (path, access) = (name, .overlay(nil))
        } else if let parts = text.cut(at: ",overlay=") {
            (path, access) = (parts.0, .overlay(parts.1))
        }
        guard !path.isEmpty, access != .overlay("") else {
            throw LguestError(
                .badInput, "'\(text.asOneLine)' names no disk image",
                hint: "--block=FILE, --block=FILE,readonly or --block=FILE,overlay[=OVERLAYFILE]")
        }
    }
}

extension String {
    /// The text before `ending`, or nil when it does not end so.
    fileprivate func withoutEnding(_ ending: String) -> String? {
        hasSuffix(ending) ? String(dropLast(ending.count)) : nil
    }

    /// The texts before and behind the first `mark`, or nil when it is not there.
    fileprivate func cut(at mark: String) -> (String, String)? {
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(mark) {
                return (String(self[..<rest.startIndex]), String(rest.dropFirst(mark.count)))
            }
            rest = rest.dropFirst()
        }
        return nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Where kernels and what belongs to them are kept between two runs: one folder for each image.

import Support

public struct ImageCache: Sendable {
    /// `$XDG_CACHE_HOME/lguest`, usually `~/.cache/lguest`.
    public let folder: String

    /// Throws `.host` where the user has no home.
    public init() throws(LguestError) {
        if let cache = HostFolders.environment("XDG_CACHE_HOME"), cache.hasPrefix("/") {
            folder = cache + "/lguest"
        } else if let home = HostFolders.environment("HOME"), home.hasPrefix("/") {
            folder = home + "/.cache/lguest"
        } else {
            throw LguestError(.host, "no place for a cache: HOME is not set", hint: "or set XDG_CACHE_HOME")
        }
    }

    public init(folder: String) { self.folder = folder }

    private var images: String { folder + "/images" }

    /// The folder of the image `name`.
    public func path(_ name: String) -> String { images + "/" + name }

    /// One image that is there.
    public struct Entry: Equatable, Sendable {
        public var name: String
        /// What it was made of, one line.
        public var description: String
    }

    /// All images, by name.
    public var entries: [Entry] {
        HostFolders.list(images).compactMap { name in
            guard let text = HostFolders.contents(path(name) + "/description") else { return nil }
            let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first ?? ""
            return Entry(name: name, description: String(line))
        }
    }

    /// Removes an image. Throws `.badInput` when there is none of that name.
    public func remove(_ name: String) throws(LguestError) {
        guard !name.contains("/"), entries.contains(where: { $0.name == name }) else {
            throw LguestError(
                .badInput, "there is no image '\(name.asOneLine)'", hint: "'lguest images' lists them")
        }
        HostFolders.removeTree(path(name))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Packages of the Debian archive that the host is configured for, fetched and verified by apt with a state of its own:
// no root, and the host's architectures stay as they are.

import Support

struct DebianArchive {
    /// For a day the lists are taken as they are.
    private static let listsAreFresh = 86_400

    let folder: String
    /// Says what is being done, in one line.
    let progress: (String) -> Void

    init(cache: ImageCache, progress: @escaping (String) -> Void) throws(LguestError) {
        folder = cache.folder + "/apt"
        self.progress = progress
        for part in ["/state/lists/partial", "/cache/archives/partial", "/packages"] {
            try HostFolders.create(folder + part)
        }
        if !HostFolders.exists(folder + "/status") { try HostFolders.write([], to: folder + "/status") }
    }

    private var options: [String] {
        [
            "APT::Architecture=i386", "APT::Architectures=i386", "Dir::State=\(folder)/state",
            "Dir::State::status=\(folder)/status", "Dir::Cache=\(folder)/cache", "APT::Sandbox::User=",
            "Acquire::Languages=none", "Acquire::Retries=2", "APT::Install-Recommends=0",
        ].flatMap { ["-o", $0] }
    }

    private func apt(_ program: String, _ words: [String], in place: String? = nil) throws(LguestError)
        -> HostProgram.Result
    {
        try HostProgram.run([program, "-q"] + options + words, in: place, package: "apt")
    }

    /// Fetches the lists of packages, unless that has been done not long ago.
    func update() throws(LguestError) {
        let stamp = folder + "/updated"
        if let age = HostFolders.age(stamp), age < Self.listsAreFresh { return }
        progress("reading the package lists")
        // A part of the archive may be out of order without harm: the download decides.
        let result = try apt("apt-get", ["update"])
        if result.succeeded { try HostFolders.write([], to: stamp) }
    }

    /// What `package`, which stands for the newest version of something, depends on first.
    func dependency(of package: String, prefix: String) throws(LguestError) -> String {
        let result = try apt("apt-cache", ["depends", package])
        for line in result.output.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "Depends:", words.count == 2, words[1].hasPrefix(prefix) {
                return String(words[1])
            }
        }
        throw LguestError(
            .host, "the archive has no package \(package) for i386",
            hint: "is this a Debian host with a network? 'lguest builtin' needs neither")
    }

    /// Fetches the packages and unpacks them below `target`; returns their file names, which hold the versions.
    func unpack(_ packages: [String], into target: String) throws(LguestError) -> [String] {
        let place = folder + "/packages"
        HostFolders.removeTree(place)
        try HostFolders.create(place)
        defer { HostFolders.removeTree(place) }
        progress("fetching \(packages.joined(separator: ", "))")
        let result = try apt("apt-get", ["download"] + packages, in: place)
        guard result.succeeded else {
            let reason =
                result.output.split(separator: "\n").last { $0.hasPrefix("E:") } ?? "apt gives no reason"
            throw LguestError(
                .host, "the packages cannot be fetched: \(String(reason).asOneLine)",
                hint: "'lguest builtin' needs no network")
        }
        progress("unpacking")
        let files = HostFolders.list(place).filter { $0.hasSuffix(".deb") }
        for file in files {
            let unpacked = try HostProgram.run(
                ["dpkg-deb", "-x", place + "/" + file, target], package: "dpkg")
            guard unpacked.succeeded else {
                throw LguestError(.host, "\(file) cannot be unpacked: \(unpacked.output.asOneLine)")
            }
        }
        return files
    }
}

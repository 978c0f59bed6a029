// SPDX-License-Identifier: Apache-2.0
//
// Packages of the Debian archive that the host is configured for, fetched and verified by apt with a state of its own:
// no root, and the host's architectures stay as they are.

import Support

struct DebianArchive {
    /// For a day the lists are taken as they are.
    private static let listsAreFresh = 86_400

    let folder: String
    let progress: Progress

    init(cache: ImageCache, progress: Progress) throws(LguestError) {
        folder = cache.folder + "/apt"
        self.progress = progress
        for part in ["/state/lists/partial", "/cache/archives/partial", "/packages"] {
            try HostFolders.create(folder + part)
        }
        if !HostFolders.exists(folder + "/status") { try HostFolders.write([], to: folder + "/status") }
        try HostFolders.write(Array(Self.sources.utf8), to: folder + "/sources.list")
    }

    /// The archive of the last release with kernels for i386.
    private static let sources = """
        deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
        deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://security.debian.org/debian-security \
        bookworm-security main

        """

    /// Whether the host's own list of archives is for that release.
    private static var hostHasRelease: Bool {
        let facts = HostFolders.contents("/etc/os-release").map { String(decoding: $0, as: UTF8.self) } ?? ""
        return facts.split(separator: "\n").contains("VERSION_CODENAME=bookworm")
    }

    private var options: [String] {
        let lists = ["Dir::Etc::sourcelist=\(folder)/sources.list", "Dir::Etc::sourceparts=-"]
        return
            ((Self.hostHasRelease ? [] : lists) + [
                "APT::Architecture=i386", "APT::Architectures=i386", "Dir::State=\(folder)/state",
                "Dir::State::status=\(folder)/status", "Dir::Cache=\(folder)/cache", "APT::Sandbox::User=",
                "Acquire::Languages=none", "Acquire::Retries=2", "APT::Install-Recommends=0",
            ]).flatMap { ["-o", $0] }
    }

    private func apt(_ program: String, _ words: [String], in place: String? = nil) throws(LguestError)
        -> HostProgram.Result
    {
        let status = ["-o", "APT::Status-Fd=\(HostProgram.statusDescriptor)"]
        return try HostProgram.run(
            [program, "-q"] + options + status + words, in: place, package: "apt"
        ) { [progress] line in
            // "dlstatus:NUMBER:PERCENT:WORDS"
            let fields = line.split(separator: ":")
            if fields.first == "dlstatus", fields.count > 2, let percent = Double(fields[2]) {
                progress.update(percent / 100)
            }
        }
    }

    /// Fetches the lists of packages, unless that has been done not long ago.
    func update() throws(LguestError) {
        let stamp = folder + "/updated"
        if let age = HostFolders.age(stamp), age < Self.listsAreFresh { return }
        progress.begin("reading the package lists")
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
        progress.begin("fetching \(packages.joined(separator: ", "))")
        let result = try apt("apt-get", ["download"] + packages, in: place)
        guard result.succeeded else {
            let reason =
                result.output.split(separator: "\n").last { $0.hasPrefix("E:") } ?? "apt gives no reason"
            throw LguestError(
                .host, "the packages cannot be fetched: \(String(reason).asOneLine)",
                hint: "'lguest builtin' needs no network")
        }
        progress.begin("unpacking")
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

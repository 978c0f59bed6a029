// SPDX-License-Identifier: Apache-2.0
//
// `lguest image create OUT.img --size 1g --from-tar FILE|--from-dir DIR`: a disk to boot from, made without
// any privilege by mke2fs of e2fsprogs.

import ArgumentParser
import LguestKit
import Support

struct ImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Make disk images.", subcommands: [ImageCreateCommand.self])
}

struct ImageCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a disk image with a file system in it.")

    /// File systems that guests can mount.
    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case ext4
        /// For kernels before 2.6.28, with nothing in it that they do not know.
        case ext2
    }

    @Option(name: .long, help: ArgumentHelp("The image's size: 64m, 1g.", valueName: "SIZE"))
    var size: String

    @Option(
        name: .long, help: ArgumentHelp("Fill it with this tar file.", valueName: "FILE"),
        completion: .file())
    var fromTar: String?

    @Option(
        name: .long, help: ArgumentHelp("Fill it with what is in this folder.", valueName: "DIR"),
        completion: .directory)
    var fromDir: String?

    @Option(name: .long, help: "The file system.")
    var type = Kind.ext4

    @Argument(help: ArgumentHelp("The image, which must not be there yet.", valueName: "OUT.img"))
    var output: String

    func run() throws {
        let bytes = try ImageSize.bytes(size)
        guard fromTar == nil || fromDir == nil else {
            throw LguestError(.badInput, "--from-tar and --from-dir exclude each other")
        }
        guard !output.hasPrefix("-") else {
            throw LguestError(.badInput, "an image's name cannot begin with '-'", hint: "put ./ before it")
        }
        try create(bytes)
    }

    private func create(_ bytes: Int64) throws(LguestError) {
        try HostTools.createFile(output, bytes: bytes)
        do throws(LguestError) {
            try fill()
        } catch {
            HostTools.remove(output)
            throw error
        }
    }

    /// An ext4 image of `size` at `path`, filled with what is in a tar file.
    static func create(_ path: String, size: String, fromTar tar: String) throws(LguestError) {
        var command = ImageCreateCommand()
        (command.size, command.fromTar, command.fromDir) = (size, tar, nil)
        (command.type, command.output) = (.ext4, path)
        try command.create(try ImageSize.bytes(size))
    }

    private func fill() throws(LguestError) {
        guard let fromTar else { return try makeFileSystem(from: fromDir) }
        // The mke2fs of many distributions reads folders only.
        let folder = try HostTools.temporaryFolder()
        defer { HostTools.removeTree(folder) }
        let tree = folder + "/tree"
        try HostTools.makeFolder(tree)
        let extract = [
            "tar", "--extract", "--file", fromTar, "--directory", tree, "--numeric-owner",
            "--preserve-permissions",
        ]
        if ProcessFacts.isRoot {
            try HostPrograms.run(extract, package: "tar")
            return try makeFileSystem(from: tree)
        }
        // An ordinary user's files are all that user's, and device nodes are not allowed: both come afterwards.
        let members = try list(fromTar, folder)
        let devices = members.filter { $0.kind != .plain }.flatMap { [$0.path, "./" + $0.path] }
        try HostTools.write(devices.joined(separator: "\n") + "\n", to: folder + "/devices")
        try HostPrograms.run(
            extract + ["--anchored", "--no-wildcards", "--exclude-from", folder + "/devices"], package: "tar")
        try makeFileSystem(from: tree)
        try setOwners(members, folder)
    }

    private func list(_ tar: String, _ folder: String) throws(LguestError) -> [TarMember] {
        let listing = folder + "/listing"
        try HostPrograms.run(
            ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=escape", "--file", tar],
            package: "tar", output: listing)
        let file = try InputFile(path: listing, purpose: "listing", maximumSize: 1 << 30)
        let text = String(decoding: try file.bytes(0, count: file.size), as: UTF8.self)
        return text.split(separator: "\n").compactMap(TarMember.init(line:))
    }

    private func setOwners(_ members: [TarMember], _ folder: String) throws(LguestError) {
        let script = folder + "/owners"
        let (lines, left) = OwnerScript.lines(members)
        try HostTools.write(lines.joined(separator: "\n") + "\n", to: script)
        try HostPrograms.run(
            ["debugfs", "-w", "-f", script, output], package: "e2fsprogs", output: folder + "/said")
        if left > 0 {
            StandardError.print(
                "lguest: warning: \(left) files have names that debugfs cannot be told: they keep your user as owner"
            )
        }
    }

    private func makeFileSystem(from folder: String?) throws(LguestError) {
        var words = ["mke2fs", "-q", "-F", "-t", type.rawValue]
        switch type {
        // Linux 2.6.28 to 4.13 know all of ext4 but what came later.
        case .ext4: words += ["-O", "^metadata_csum,^64bit,^orphan_file,^metadata_csum_seed"]
        case .ext2: words += ["-O", "none,filetype,sparse_super,large_file", "-I", "128"]
        }
        words += ["-E", "root_owner=0:0,lazy_itable_init=0"]
        if let folder { words += ["-d", folder] }
        try HostPrograms.run(words + [output], package: "e2fsprogs")
    }
}

enum ImageSize {
    /// Reads `64m`, `1g`: 1 MiB to 16 TiB, in bytes. Throws `.badInput` for anything else.
    static func bytes(_ text: String) throws(LguestError) -> Int64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units: [String: Int64] = ["": 1 << 20, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
        guard let number = Int64(digits), let unit = units[text.dropFirst(digits.count).lowercased()] else {
            throw LguestError(
                .badInput, "'\(text.asOneLine)' is not an image size", hint: "for example 64m or 1g")
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, bytes >= 1 << 20, bytes <= 16 << 40 else {
            throw LguestError(
                .badInput, "'\(text.asOneLine)' is not a possible image size", hint: "1m to 16t")
        }
        return bytes
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `lguest image create OUT.img --size 1g --from-tar FILE|--from-dir DIR`: a disk to boot from, made without
// any privilege by mke2fs of e2fsprogs.

import ArgumentParser
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

    @Option(name: .long, help: ArgumentHelp("Fill it with this tar file.", valueName: "FILE"))
    var fromTar: String?

    @Option(name: .long, help: ArgumentHelp("Fill it with what is in this folder.", valueName: "DIR"))
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
        try HostTools.createFile(output, bytes: bytes)
        do throws(LguestError) {
            try fill()
        } catch {
            HostTools.remove(output)
            throw error
        }
    }

    private func fill() throws(LguestError) {
        guard let fromTar else { return try makeFileSystem(from: fromDir) }
        // The mke2fs of many distributions reads folders only. Owners are lost then, unless we are root.
        let folder = try HostTools.temporaryFolder()
        defer { HostTools.removeTree(folder) }
        try HostTools.run(
            ["tar", "--extract", "--file", fromTar, "--directory", folder, "--numeric-owner"], package: "tar")
        try makeFileSystem(from: folder)
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
        try HostTools.run(words + [output], package: "e2fsprogs")
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
